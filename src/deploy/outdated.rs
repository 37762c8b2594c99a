//! Whether a plan that somebody has looked at is still what an update would do. Pure.

use super::plan::{Basis, Plan};
use crate::app::Changes;

impl Plan {
    /// What has changed since this plan was made: `now` is the plan for the same update as things are. Nothing: it holds.
    ///
    /// How much travels does not count: it depends on which old releases the node still keeps.
    pub fn outdated_by(&self, now: &Plan) -> Vec<String> {
        if (&self.app, &self.node) != (&now.app, &now.node) {
            return vec![format!(
                "it is for {} on {}, and this update for {} on {}",
                self.app, self.node, now.app, now.node
            )];
        }
        let mut reasons = Vec::new();
        match (&self.made_from.basis, &now.made_from.basis) {
            (Some(then), Some(now)) => reasons.extend(then.changed_to(now)),
            (then, now) if then == now => {}
            _ => reasons.push("it does not say what the app was on the node".to_owned()),
        }
        if self.made_from.program != now.made_from.program {
            reasons.push("it was made by another version of cloudtool".to_owned());
        } else if self.made_from.digest != now.made_from.digest {
            // What files differ from depends on the release that serves.
            let paths = if self.live == now.live { files_that_differ(&self.files, &now.files) } else { Vec::new() };
            let which = if paths.is_empty() { String::new() } else { format!(": {}", paths.join(", ")) };
            reasons.push(format!("the directory is not the one it was made from{which}"));
        }
        let asked = |plan: &Plan| (plan.forced, plan.new_locations.clone());
        if reasons.is_empty() && asked(self) != asked(now) {
            reasons.push("other locations, or --force, were asked for".to_owned());
        }
        if reasons.is_empty() && *self != (Plan { upload: self.upload, ..now.clone() }) {
            reasons.push("what an update would do is something else now".to_owned());
        }
        reasons
    }
}

impl Basis {
    fn changed_to(&self, now: &Basis) -> Vec<String> {
        let release = |basis: &Basis| basis.live.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let locations = |basis: &Basis| basis.locations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut reasons = Vec::new();
        if self.live != now.live {
            reasons.push(format!("{} served then, {} does now", release(self), release(now)));
        }
        if self.locations != now.locations {
            let none = |text: String| if text.is_empty() { "nowhere".to_owned() } else { text };
            reasons.push(format!("it was served at {} then, at {} now", none(locations(self)), none(locations(now))));
        }
        if self.shares != now.shares {
            reasons.push("the app works on other data now, which were restored or cleared".to_owned());
        }
        if self.set != now.set {
            reasons.push("something else is set for the app now (cloudtool config)".to_owned());
        }
        reasons
    }
}

/// Paths that are changed in one way in one of them and not in the other: not all that differs, for a file may have changed twice.
fn files_that_differ(then: &Changes, now: &Changes) -> Vec<String> {
    let marked = |changes: &Changes| {
        let lists = [("+", &changes.added), ("~", &changes.changed), ("-", &changes.removed)];
        lists.iter().flat_map(|(sign, paths)| paths.iter().map(move |path| (*sign, path.clone()))).collect::<Vec<_>>()
    };
    let (then, now) = (marked(then), marked(now));
    let mut paths: Vec<String> = then
        .iter()
        .filter(|it| !now.contains(it))
        .chain(now.iter().filter(|it| !then.contains(it)))
        .map(|(_, path)| path.clone())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::{Action, MadeFrom, Names, Upload};

    fn plan() -> Plan {
        let basis = Basis {
            live: Some("v3".parse().unwrap()),
            locations: vec!["shop.com".parse().unwrap()],
            ..Basis::default()
        };
        Plan {
            format: crate::deploy::FORMAT,
            app: "shop".parse().unwrap(),
            node: "web1".into(),
            action: Action::Release,
            live: basis.live.clone(),
            forced: false,
            locations: basis.locations.clone(),
            new_locations: Vec::new(),
            upload: Upload { files: 1, bytes: 10 },
            files: Changes { changed: vec!["app.py".into()], ..Changes::default() },
            packages: Names::default(),
            services: Names::default(),
            settings: vec!["threads".into()],
            besides: None,
            hooks: Vec::new(),
            made_from: MadeFrom { program: "p1".into(), digest: "d1".into(), basis: Some(basis) },
        }
    }

    fn reasons(change: impl Fn(&mut Plan, &mut Basis)) -> String {
        let mut now = plan();
        let mut basis = now.made_from.basis.take().unwrap();
        change(&mut now, &mut basis);
        now.made_from.basis = Some(basis);
        plan().outdated_by(&now).join("; ")
    }

    #[test]
    fn a_plan_holds_as_long_as_it_would_be_made_again() {
        assert_eq!(reasons(|_, _| {}), "");
        assert_eq!(reasons(|now, _| now.upload = Upload::default()), "");
        let read: Plan = serde_json::from_str(&serde_json::to_string_pretty(&plan()).unwrap()).unwrap();
        assert_eq!(read, plan());
    }

    #[test]
    fn what_has_changed_is_said() {
        let live = |release: &str| Some(release.parse().unwrap());
        assert_eq!(reasons(|_, basis| basis.live = live("v4")), "v3 served then, v4 does now");
        assert_eq!(reasons(|_, basis| basis.live = None), "v3 served then, nothing does now");
        assert_eq!(reasons(|_, basis| basis.locations.clear()), "it was served at shop.com then, at nowhere now");
        let restored = |_: &mut Plan, basis: &mut Basis| basis.shares = [("files".to_owned(), 2)].into();
        assert!(reasons(restored).contains("restored or cleared"));
        assert!(reasons(|_, basis| basis.set = Some("v4".into())).contains("cloudtool config"));
        assert!(reasons(|now, _| now.made_from.program = "p2".into()).contains("another version"));
        let directory = "the directory is not the one it was made from";
        assert_eq!(reasons(|now, _| now.made_from.digest = "d2".into()), directory);
        let other_files = |now: &mut Plan, _: &mut Basis| {
            now.made_from.digest = "d2".into();
            now.files = Changes { added: vec!["app.py".into(), "b".into()], ..Changes::default() };
        };
        assert_eq!(reasons(other_files), format!("{directory}: app.py, b"));
        assert!(reasons(|now, _| now.forced = true).contains("--force"));
        assert!(reasons(|now, _| now.action = Action::Nothing).contains("something else"));
        assert!(reasons(|now, _| now.node = "web2".into()).contains("shop on web2"));
        let both = reasons(|now, basis| {
            basis.live = live("v4");
            now.made_from.digest = "d2".into();
        });
        assert_eq!(both, format!("v3 served then, v4 does now; {directory}"));
    }
}
