//! What a size must have, as the user wrote it: `ram>=2G,cpus>=2,disk>=40G,price<10,cheapest`. Pure.

use std::cmp::Ordering;

use glob::{MatchOptions, Pattern};

use super::error::{Error, Result};
use super::node::Size;
use super::select::Choice;
use super::sizes::{a_month, cheapest_first};

/// A list of wishes; a size must fulfil all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Wishes {
    conditions: Vec<Condition>,
    /// Of the id or the name.
    globs: Vec<Pattern>,
    cheapest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Condition {
    fact: Fact,
    relation: Relation,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    /// MB.
    Ram,
    Cpus,
    /// GB.
    Disk,
    /// A month, in the provider's currency.
    Price,
}

/// The longer ones first: `>=` begins with `>`.
const RELATIONS: [(&str, Relation); 5] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    (">", Relation::More),
    ("<", Relation::Less),
    ("=", Relation::Same),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    AtLeast,
    AtMost,
    More,
    Less,
    Same,
}

impl Wishes {
    /// `None` for a text that is an id, a name or a glob: it has no relation in it and is not `cheapest`.
    ///
    /// Errors: [`Error::BadWish`].
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let terms: Vec<&str> = text.split(',').map(str::trim).collect();
        if !terms.iter().any(|term| *term == "cheapest" || term.contains(['<', '>', '='])) {
            return Ok(None);
        }
        let bad = |reason: String| Error::BadWish { text: text.to_owned(), reason };
        let mut wishes = Wishes { conditions: Vec::new(), globs: Vec::new(), cheapest: false };
        for term in terms {
            if term == "cheapest" {
                wishes.cheapest = true;
            } else if term.contains(['<', '>', '=']) {
                wishes.conditions.push(Condition::parse(term).map_err(bad)?);
            } else {
                let glob = Pattern::new(term).ok().filter(|_| !term.is_empty());
                wishes.globs.push(glob.ok_or_else(|| bad(format!("{term:?} is not understood")))?);
            }
        }
        Ok(Some(wishes))
    }

    fn are_fulfilled_by(&self, size: &Size) -> bool {
        let options = MatchOptions { case_sensitive: false, ..MatchOptions::new() };
        let is_called = |glob: &Pattern| glob.matches_with(&size.id, options) || glob.matches_with(&size.name, options);
        self.globs.iter().all(is_called) && self.conditions.iter().all(|condition| condition.holds(size))
    }

    /// The one size that fulfils them; of several the cheapest, if that was wished.
    ///
    /// Errors: [`Error::NoMatch`]; [`Error::Ambiguous`] with all that do, and their prices.
    pub fn choose<'a>(&self, provider: &str, text: &str, sizes: &'a [Size]) -> Result<&'a Size> {
        let found: Vec<&Size> = sizes.iter().filter(|size| self.are_fulfilled_by(size)).collect();
        let (provider, what, pattern) = (provider.to_owned(), Size::WHAT, text.to_owned());
        match found[..] {
            [] => Err(Error::NoMatch { provider, what, pattern, nearest: None }),
            [one] => Ok(one),
            _ if self.cheapest => {
                let first = cheapest_first(found.iter().copied().cloned().collect()).swap_remove(0);
                // It is one of them: the list was made of them.
                Ok(found.into_iter().find(|size| **size == first).unwrap_or(&sizes[0]))
            }
            _ => Err(Error::Ambiguous {
                provider,
                what,
                pattern,
                found: found.into_iter().map(Size::describe).collect(),
            }),
        }
    }
}

impl Condition {
    fn parse(term: &str) -> std::result::Result<Self, String> {
        let at = term.find(['<', '>', '=']).ok_or("a relation is missing")?;
        let (fact, rest) = term.split_at(at);
        let found = RELATIONS.iter().find_map(|(sign, relation)| Some((*relation, rest.strip_prefix(sign)?)));
        let (relation, value) = found.ok_or("a relation is missing")?;
        let (fact, units): (_, &[(&str, f64)]) = match fact.trim().to_ascii_lowercase().as_str() {
            "ram" | "memory" => (Fact::Ram, &[("T", 1024.0 * 1024.0), ("G", 1024.0), ("M", 1.0)]),
            "cpus" | "cpu" => (Fact::Cpus, &[]),
            "disk" => (Fact::Disk, &[("T", 1000.0), ("G", 1.0)]),
            "price" => (Fact::Price, &[]),
            other => return Err(format!("there is no {other:?}, only ram, cpus, disk and price")),
        };
        let value = value.trim();
        let upper = value.to_ascii_uppercase();
        let bare = upper.strip_suffix("IB").or(upper.strip_suffix('B')).unwrap_or(&upper);
        let unit = units.iter().find_map(|(unit, factor)| Some((bare.strip_suffix(unit)?, *factor)));
        let (digits, factor) = unit.unwrap_or((&upper, 1.0));
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number = digits.parse::<f64>().ok().filter(|_| is_number);
        let value = number.ok_or_else(|| format!("{value:?} is no number"))? * factor;
        Ok(Condition { fact, relation, value })
    }

    /// A fact that is not known fulfils nothing.
    fn holds(&self, size: &Size) -> bool {
        let known = match self.fact {
            Fact::Ram => size.memory_mb.map(|mb| mb as f64),
            Fact::Cpus => size.cpus,
            Fact::Disk => size.disk_gb.map(|gb| gb as f64),
            Fact::Price => size.price.as_ref().and_then(a_month),
        };
        let Some(order) = known.and_then(|known| known.partial_cmp(&self.value)) else { return false };
        match self.relation {
            Relation::AtLeast => order != Ordering::Less,
            Relation::AtMost => order != Ordering::Greater,
            Relation::More => order == Ordering::Greater,
            Relation::Less => order == Ordering::Less,
            Relation::Same => order == Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::node::Price;
    use super::super::select::select_size;
    use super::*;

    fn size(id: &str, memory_mb: u64, cpus: f64, monthly: Option<f64>) -> Size {
        Size {
            id: id.into(),
            name: id.into(),
            memory_mb: Some(memory_mb),
            disk_gb: None,
            cpus: Some(cpus),
            price: monthly.map(|monthly| Price { monthly: Some(monthly), hourly: None, currency: "EUR".into() }),
        }
    }

    fn sizes() -> Vec<Size> {
        vec![
            size("cx22", 4096, 2.0, Some(4.5)),
            size("cx32", 8192, 4.0, Some(7.5)),
            size("arm11", 4096, 2.0, Some(3.8)),
            size("free", 1024, 1.0, None),
        ]
    }

    fn chosen(wanted: &str) -> std::result::Result<String, String> {
        select_size("cloud", Some(wanted), &sizes()).map(|size| size.id.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn wishes_choose() {
        for (wanted, id) in [
            ("cx22", "cx22"),
            ("*32", "cx32"),
            ("ram>=2G,cheapest", "arm11"),
            ("ram >= 2g, cx*, cheapest", "cx22"),
            ("ram>4096", "cx32"),
            ("memory>=8GiB", "cx32"),
            ("cpus=1", "free"),
            ("price<4", "arm11"),
            ("cheapest", "arm11"),
        ] {
            assert_eq!(chosen(wanted).as_deref(), Ok(id), "{wanted}");
        }
        assert_eq!(select_size("cloud", None, &sizes()).unwrap().id, "cx22");
    }

    #[test]
    fn what_cannot_be_chosen_is_said() {
        insta::assert_snapshot!(chosen("ram>=4G,cpus<4").unwrap_err(), @r#""ram>=4G,cpus<4" matches 2 sizes of cloud: cx22 (4096 MB, 2 CPUs, 4.50 EUR a month), arm11 (4096 MB, 2 CPUs, 3.80 EUR a month)"#);
        insta::assert_snapshot!(chosen("ram>=1T").unwrap_err(), @r#"cloud has no size that matches "ram>=1T""#);
        // Its disk is not known.
        insta::assert_snapshot!(chosen("disk>=0").unwrap_err(), @r#"cloud has no size that matches "disk>=0""#);
        insta::assert_snapshot!(chosen("rum>=1G").unwrap_err(), @r#""rum>=1G" says nothing about a size: there is no "rum", only ram, cpus, disk and price"#);
        insta::assert_snapshot!(chosen("ram>=lots").unwrap_err(), @r#""ram>=lots" says nothing about a size: "lots" is no number"#);
        insta::assert_snapshot!(chosen("cheapest,").unwrap_err(), @r#""cheapest," says nothing about a size: "" is not understood"#);
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in "[a-z]{0,8}[<>=,.0-9GMT*\\[]{0,10}") {
            if let Ok(size) = select_size("cloud", Some(&text), &sizes()) {
                prop_assert!(sizes().contains(size));
            }
        }

        #[test]
        fn the_cheapest_is_never_dearer_than_another_that_would_do(
            facts in proptest::collection::vec((1u64..64, proptest::option::of(1u32..50)), 1..20),
            least in 1u64..64,
        ) {
            let sizes: Vec<Size> = facts
                .iter()
                .enumerate()
                .map(|(index, (gb, price))| size(&format!("s{index}"), gb * 1024, 1.0, price.map(f64::from)))
                .collect();
            let fit = |size: &&Size| size.memory_mb >= Some(least * 1024);
            let chosen = select_size("cloud", Some(&format!("ram>={least}G,cheapest")), &sizes);
            let price = |size: &Size| size.price.as_ref().and_then(a_month).unwrap_or(f64::MAX);
            match chosen {
                Ok(chosen) => {
                    prop_assert!(fit(&chosen));
                    prop_assert!(sizes.iter().filter(fit).all(|other| price(chosen) <= price(other)));
                }
                Err(_) => prop_assert!(!sizes.iter().any(|size| fit(&size))),
            }
        }
    }
}
