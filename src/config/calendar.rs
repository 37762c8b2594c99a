//! When something runs by itself: intervals, times of the day, and the lines of a crontab, as systemd's `OnCalendar=` says them.

use std::collections::BTreeSet;

use super::values::{self, quoted};

/// An interval that days are made of, in minutes: `30m`, `6h`. `least` is in minutes, too.
pub fn every(text: &str, least: u32) -> Result<u32, String> {
    let minutes = values::seconds(text, least * 60..=24 * 3600)? / 60;
    let fits = if minutes < 60 { 60 % minutes == 0 } else { minutes % 60 == 0 && (24 * 60) % minutes == 0 };
    if fits && !text.ends_with('s') {
        return Ok(minutes);
    }
    let short = if least < 5 { "1m, 2m, " } else { "" };
    Err(format!(
        "{} does not go into an hour or a day: {short}5m, 10m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h and 24h do",
        quoted(text)
    ))
}

/// `03:15`.
pub fn time_of_day(text: &str) -> Result<String, String> {
    let number = |digits: &str, limit: u32| digits.len() == 2 && digits.parse().is_ok_and(|n: u32| n < limit);
    match text.split_once(':') {
        Some((hours, minutes)) if number(hours, 24) && number(minutes, 60) => Ok(text.to_owned()),
        _ => Err(format!("{} is not a time of the day like 03:15", quoted(text))),
    }
}

/// So many minutes, from midnight on; what [`every`] has found good.
pub fn of_every(minutes: u32) -> String {
    match minutes {
        1 => "*-*-* *:*:00".to_owned(),
        minutes if minutes < 60 => format!("*-*-* *:00/{minutes}:00"),
        minutes if minutes < 24 * 60 => format!("*-*-* 00/{}:00:00", minutes / 60),
        _ => "*-*-* 00:00:00".to_owned(),
    }
}

/// Once a day.
pub fn of_time(time: &str) -> String {
    format!("*-*-* {time}:00")
}

/// What a field of a crontab may say.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of the values from `least` on.
    names: &'static [&'static str],
}

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    // 7 is Sunday, too.
    Field { name: "day of the week", least: 0, most: 7, names: &DAYS },
];
const SHORT: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A crontab's five fields, or a short form of them. As in cron, of two restricted kinds of days each alone is enough: then there are two
/// expressions.
pub fn of_cron_line(text: &str) -> Result<Vec<String>, String> {
    let line = SHORT.iter().find(|(short, _)| *short == text.to_ascii_lowercase()).map_or(text, |(_, line)| *line);
    let words: Vec<&str> = line.split_whitespace().collect();
    let Ok(words) = <[&str; 5]>::try_from(words) else {
        return Err(format!(
            "{} is no line of a crontab: that has five fields (minute, hour, day of the month, month, day of the week), as in 15 3 * * 1-5, or is @hourly, @daily, @weekly, @monthly or @yearly",
            quoted(text)
        ));
    };
    let mut values = Vec::new();
    for (word, field) in words.iter().zip(&FIELDS) {
        values.push(field.values(word)?);
    }
    let [minutes, hours, days, months, weekdays] =
        <[BTreeSet<u32>; 5]>::try_from(values).map_err(|_| "five fields".to_owned())?;
    let weekdays: BTreeSet<u32> = weekdays.iter().map(|day| day % 7).collect();
    let there_is = |day: &u32| months.iter().any(|month| LONGEST[*month as usize - 1] >= *day);
    if !days.iter().any(there_is) {
        return Err(format!("{} never comes: those months have no such day", quoted(text)));
    }
    let (minute, hour) = (list(&minutes, 60), list(&hours, 24));
    let date = |days: &BTreeSet<u32>| format!("*-{}-{} {hour}:{minute}:00", list(&months, 12), list(days, 31));
    let of_week = |date: String| {
        let names: Vec<String> = weekdays.iter().map(|day| capitalised(DAYS[*day as usize])).collect();
        if names.len() == 7 { date } else { format!("{} {date}", names.join(",")) }
    };
    let every_day: BTreeSet<u32> = (1..=31).collect();
    if words[2].starts_with('*') || words[4].starts_with('*') {
        return Ok(vec![of_week(date(&days))]);
    }
    Ok(vec![date(&days), of_week(date(&every_day))])
}

impl Field {
    /// `*`, `1-5`, `*/15`, `mon,wed`, `8-18/2`.
    fn values(&self, text: &str) -> Result<BTreeSet<u32>, String> {
        let mut found = BTreeSet::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, step.parse().ok().filter(|step| (1..=self.most).contains(step))),
                None => (part, Some(1)),
            };
            let ends = match range.split_once('-') {
                _ if range == "*" => Some((self.least, self.most)),
                Some((first, last)) => self.value(first).zip(self.value(last)),
                // As in cron: 5/10 is from 5 on.
                None if part.contains('/') => self.value(range).map(|first| (first, self.most)),
                None => self.value(range).map(|value| (value, value)),
            };
            match (ends, step) {
                (Some((first, last)), Some(step)) if first <= last => {
                    found.extend((first..=last).step_by(step as usize))
                }
                _ => {
                    return Err(format!(
                        "{} is no {}: that is from {} to {}{}, like *, 1-5, */2 or 1,3",
                        quoted(part),
                        self.name,
                        self.least,
                        self.most,
                        self.names.first().map(|name| format!(" or a name like {name}")).unwrap_or_default()
                    ));
                }
            }
        }
        Ok(found)
    }

    fn value(&self, text: &str) -> Option<u32> {
        let name = self.names.iter().position(|name| *name == text.to_ascii_lowercase());
        let number = match name {
            Some(index) => self.least + index as u32,
            None => text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?,
        };
        (self.least..=self.most).contains(&number).then_some(number)
    }
}

/// Values with commas between them, `*` when it is all of them.
fn list(values: &BTreeSet<u32>, all: usize) -> String {
    if values.len() == all {
        return "*".to_owned();
    }
    values.iter().map(|value| format!("{value:02}")).collect::<Vec<_>>().join(",")
}

fn capitalised(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_crontab() {
        for (line, calendar) in [
            ("* * * * *", "*-*-* *:*:00"),
            ("15 3 * * *", "*-*-* 03:15:00"),
            ("*/20 8-18/5 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 08,13,18:00,20,40:00"),
            ("0 0 1,15 * *", "*-*-01,15 00:00:00"),
            ("0 12 * feb-APR *", "*-02,03,04-* 12:00:00"),
            ("30 4 * * 7", "Sun *-*-* 04:30:00"),
            ("5/25 * * * *", "*-*-* *:05,30,55:00"),
            ("0 9 */2 * mon", "Mon *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 09:00:00"),
            ("0 0 29 2 *", "*-02-29 00:00:00"),
            ("@hourly", "*-*-* *:00:00"),
            ("@WEEKLY", "Sun *-*-* 00:00:00"),
        ] {
            assert_eq!(of_cron_line(line), Ok(vec![calendar.to_owned()]), "{line}");
        }
        let both = ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"].map(str::to_owned).to_vec();
        assert_eq!(of_cron_line("0 0 13 * fri"), Ok(both), "the 13th, and Fridays");
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "+1 * * * *",
            "1, * * * *",
            "a * * * *",
            "@reboot",
            "0 0 30 2 *",
            "0 0 31 4,6 *",
        ] {
            assert!(of_cron_line(bad).is_err(), "{bad:?}");
        }
        insta::assert_snapshot!(of_cron_line("0 25 * * *").unwrap_err(), @r#""25" is no hour: that is from 0 to 23, like *, 1-5, */2 or 1,3"#);
        insta::assert_snapshot!(of_cron_line("0 0 * * moon").unwrap_err(), @r#""moon" is no day of the week: that is from 0 to 7 or a name like sun, like *, 1-5, */2 or 1,3"#);
        insta::assert_snapshot!(of_cron_line("0 0 31 4 *").unwrap_err(), @r#""0 0 31 4 *" never comes: those months have no such day"#);
    }

    #[test]
    fn intervals_and_times() {
        for (text, calendar) in
            [("1m", "*-*-* *:*:00"), ("15m", "*-*-* *:00/15:00"), ("6h", "*-*-* 00/6:00:00"), ("24h", "*-*-* 00:00:00")]
        {
            assert_eq!(every(text, 1).map(of_every), Ok(calendar.to_owned()));
        }
        for bad in ["7m", "90m", "5h", "30s", "0m", "25h"] {
            assert!(every(bad, 1).is_err(), "{bad}");
        }
        assert!(every("1m", 5).is_err());
        assert_eq!(of_time("03:15"), "*-*-* 03:15:00");
    }
}
