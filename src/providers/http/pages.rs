//! Following the pages of a list: to the end, but not for ever, and not to anybody else.

use std::collections::HashSet;

use serde_json::Value;

use super::super::error::{Error, Result};
use super::{Api, Request};

/// More pages than any list here has.
const MOST: usize = 2000;

/// Guards a walk through pages.
pub struct Pages {
    provider: String,
    list: String,
    seen: HashSet<String>,
}

impl Pages {
    /// `list` completes "the list of ...".
    pub fn of(provider: &str, list: &str) -> Self {
        Pages { provider: provider.to_owned(), list: list.to_owned(), seen: HashSet::new() }
    }

    /// Call with what names the next page (a number, a marker, a cursor) before asking for it.
    ///
    /// Errors: [`Error::Api`] when that page was asked for before, or there are too many.
    pub fn turn(&mut self, marker: &str) -> Result<()> {
        let message = if self.seen.len() >= MOST {
            format!("the list of {} has more than {MOST} pages", self.list)
        } else if !self.seen.insert(marker.to_owned()) {
            format!("the list of {} does not end: page {marker:?} follows itself", self.list)
        } else {
            return Ok(());
        };
        Err(Error::Api { provider: self.provider.clone(), message })
    }
}

impl Api {
    /// All items of a list: those in the array `field` of each page. `next` is told a page's answer (without the items) and all items so
    /// far, and gives the request for the page that follows; `None` at the end.
    ///
    /// Errors: those of [`Api::send`], and [`Error::Api`] for a page without the field, and a list without an end.
    pub fn list(
        &self,
        first: Request,
        field: &str,
        next: impl Fn(&Value, &[Value]) -> Result<Option<Request>>,
    ) -> Result<Vec<Value>> {
        let mut pages = Pages::of(&self.provider, first.path());
        let (mut items, mut request) = (Vec::new(), first);
        loop {
            let mut answer = self.json(&request)?;
            let Some(Value::Array(page)) = answer.get_mut(field).map(Value::take) else {
                return Err(self.lacks(request.path(), field));
            };
            items.extend(page);
            let Some(following) = next(&answer, &items)? else { return Ok(items) };
            pages.turn(&following.place())?;
            request = following;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_noticed() {
        let mut pages = Pages::of("c", "images");
        assert!(pages.turn("2").is_ok() && pages.turn("3").is_ok());
        let error = pages.turn("2").unwrap_err().to_string();
        assert_eq!(error, r#"c: the list of images does not end: page "2" follows itself"#);
    }

    #[test]
    fn there_is_a_last_page() {
        let mut pages = Pages::of("c", "images");
        let turned = (0..10_000).take_while(|page| pages.turn(&page.to_string()).is_ok()).count();
        assert_eq!(turned, MOST);
    }
}
