//! Choosing one image, size or region by what the user wrote after `--image`, `--size`, `--location`. Pure.

use glob::{MatchOptions, Pattern};

use super::error::{Error, Result};
use super::node::{Image, Region, Size};
use super::wishes::Wishes;

/// Something that can be chosen from a provider's list.
pub trait Choice {
    /// What one is called: also the option's name and, with an `s`, the end of the `list-` command's.
    const WHAT: &'static str;

    fn id(&self) -> &str;
    fn name(&self) -> &str;

    /// How it is shown in a list of several matches.
    fn describe(&self) -> String {
        if self.id() == self.name() { self.id().to_owned() } else { format!("{} ({})", self.id(), self.name()) }
    }
}

impl Choice for Image {
    const WHAT: &'static str = "image";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
}

impl Choice for Size {
    const WHAT: &'static str = "size";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn describe(&self) -> String {
        let mut facts = Vec::new();
        if self.name != self.id {
            facts.push(self.name.clone());
        }
        if let Some(memory) = self.memory_mb {
            facts.push(format!("{memory} MB"));
        }
        if let Some(cpus) = self.cpus {
            facts.push(format!("{cpus} CPUs"));
        }
        if let Some(price) = &self.price {
            if let Some(monthly) = price.monthly {
                facts.push(format!("{monthly:.2} {} a month", price.currency));
            } else if let Some(hourly) = price.hourly {
                facts.push(format!("{hourly:.4} {} an hour", price.currency));
            }
        }
        if facts.is_empty() { self.id.clone() } else { format!("{} ({})", self.id, facts.join(", ")) }
    }
}

impl Choice for Region {
    const WHAT: &'static str = "location";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
}

/// The one item whose id is `wanted`, or else whose name is, or else whose id or name matches it as a glob (`*`, `?`, `[abc]`;
/// upper and lower case are the same).
///
/// Fails with [`Error::NoMatch`] (and the nearest name), [`Error::Ambiguous`] (and all matches) or [`Error::BadPattern`].
pub fn select<'a, T: Choice>(provider: &str, wanted: &str, items: &'a [T]) -> Result<&'a T> {
    let pattern = Pattern::new(wanted).map_err(|error| Error::BadPattern {
        what: T::WHAT,
        pattern: wanted.to_owned(),
        message: error.msg.to_owned(),
    })?;
    let options = MatchOptions { case_sensitive: false, ..MatchOptions::new() };
    let tests: [&dyn Fn(&T) -> bool; 3] = [&|item| item.id() == wanted, &|item| item.name() == wanted, &|item| {
        pattern.matches_with(item.id(), options) || pattern.matches_with(item.name(), options)
    }];
    for test in tests {
        let found: Vec<&T> = items.iter().filter(|item| test(item)).collect();
        match found[..] {
            [] => {}
            [one] => return Ok(one),
            _ => {
                return Err(Error::Ambiguous {
                    provider: provider.to_owned(),
                    what: T::WHAT,
                    pattern: wanted.to_owned(),
                    found: found.into_iter().map(T::describe).collect(),
                });
            }
        }
    }
    Err(Error::NoMatch {
        provider: provider.to_owned(),
        what: T::WHAT,
        pattern: wanted.to_owned(),
        nearest: nearest(wanted, items),
    })
}

/// The image that is `wanted`, or when nothing is said the first, where that is one to take unseen: the provider's own choice, or a
/// supported Ubuntu.
///
/// Errors: those of [`select`]; [`Error::NotNamed`] when there is nothing to take unseen.
pub fn select_image<'a>(provider: &str, wanted: Option<&str>, images: &'a [Image]) -> Result<&'a Image> {
    match (wanted, images.first()) {
        (Some(wanted), _) => select(provider, wanted, images),
        (None, Some(first)) if provider == super::local::NAME || super::images::has_default(images) => Ok(first),
        (None, _) => Err(Error::NotNamed { provider: provider.to_owned(), what: Image::WHAT }),
    }
}

/// The size that is `wanted`: as [`select`], or by [`Wishes`]; or when nothing is said the first, which is the provider's default or its
/// cheapest.
pub fn select_size<'a>(provider: &str, wanted: Option<&str>, sizes: &'a [Size]) -> Result<&'a Size> {
    let Some(wanted) = wanted else {
        return sizes.first().ok_or_else(|| Error::NotNamed { provider: provider.to_owned(), what: Size::WHAT });
    };
    if let Some(size) = sizes.iter().find(|size| size.id == wanted || size.name == wanted) {
        return Ok(size);
    }
    match Wishes::parse(wanted)? {
        Some(wishes) => wishes.choose(provider, wanted, sizes),
        None => select(provider, wanted, sizes),
    }
}

fn nearest<T: Choice>(wanted: &str, items: &[T]) -> Option<String> {
    let wanted = wanted.to_lowercase();
    items
        .iter()
        .flat_map(|item| [item.id(), item.name()])
        .map(|candidate| (strsim::jaro_winkler(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::node::Price;
    use super::*;
    use crate::error::Explain;

    fn images(list: &[(&str, &str)]) -> Vec<Image> {
        list.iter()
            .map(|(id, name)| Image { id: id.to_string(), name: name.to_string(), description: String::new() })
            .collect()
    }

    #[test]
    fn an_id_or_a_name_wins_over_a_glob() {
        let list = images(&[("1", "debian-12"), ("12", "debian-12-arm"), ("3", "[x]")]);
        let id = |wanted| select("c", wanted, &list).map(|i| i.id.clone()).map_err(|e| e.to_string());
        assert_eq!(id("1").unwrap(), "1");
        assert_eq!(id("debian-12").unwrap(), "1");
        assert_eq!(id("debian-12-*").unwrap(), "12");
        assert_eq!(id("DEBIAN-12-ARM").unwrap(), "12");
        assert_eq!(id("[x]").unwrap(), "3");
    }

    #[test]
    fn several_matches_are_listed() {
        let list = images(&[("1", "debian-12"), ("2", "debian-13"), ("3", "other")]);
        let error = select("cloud", "debian*", &list).unwrap_err();
        assert_eq!(error.to_string(), r#""debian*" matches 2 images of cloud: 1 (debian-12), 2 (debian-13)"#);
        assert_eq!(error.kind(), crate::error::Kind::Usage);
    }

    #[test]
    fn the_same_name_twice_is_ambiguous() {
        let list = images(&[("1", "web"), ("2", "web")]);
        assert!(matches!(select("c", "web", &list), Err(Error::Ambiguous { .. })));
    }

    #[test]
    fn nothing_found_names_the_nearest_and_the_command() {
        let list = images(&[("debian-12", "debian-12"), ("ubuntu-24.04", "ubuntu-24.04")]);
        let error = select("local", "debain-12", &list).unwrap_err();
        assert_eq!(error.to_string(), r#"local has no image that matches "debain-12""#);
        assert_eq!(
            error.hint().unwrap(),
            "Did you mean debian-12? `cloudtool list-images --provider local` shows all of them."
        );
        assert!(matches!(select("c", "a[", &list), Err(Error::BadPattern { .. })));
    }

    #[test]
    fn only_what_can_be_taken_unseen_is_a_default() {
        let supported = images(&[("ubuntu-24-04-x64", "ubuntu-24-04-x64"), ("b", "b")]);
        assert_eq!(select_image("c", None, &supported).unwrap().id, "ubuntu-24-04-x64");
        assert_eq!(select_image("c", Some("b"), &supported).unwrap().id, "b");
        let strange = images(&[("windows", "windows")]);
        let error = select_image("c", None, &strange).unwrap_err();
        assert_eq!(error.to_string(), "c has no image to take unless one is named");
        assert_eq!(
            error.hint().unwrap(),
            "Say which with --image: `cloudtool list-images --provider c` shows all of them."
        );
        assert_eq!(select_image("local", None, &strange).unwrap().id, "windows");
        assert!(select_image("local", None, &[]).is_err() && select_size("c", None, &[]).is_err());
    }

    #[test]
    fn sizes_are_listed_with_memory_and_price() {
        let price = Price { monthly: Some(4.5), hourly: None, currency: "EUR".into() };
        let size = Size {
            id: "cx22".into(),
            name: "cx22".into(),
            memory_mb: Some(4096),
            disk_gb: None,
            cpus: None,
            price: Some(price),
        };
        assert_eq!(size.describe(), "cx22 (4096 MB, 4.50 EUR a month)");
    }
}
