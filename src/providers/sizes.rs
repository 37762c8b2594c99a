//! Which of a cloud's sizes comes first.

use super::Provider;
use super::error::{Error, Result};
use super::node::{Price, Size};

/// Hours a month, as clouds reckon.
const HOURS: f64 = 730.0;

/// The cheapest first, and the smallest of those of a price (or without one).
pub fn cheapest_first(mut sizes: Vec<Size>) -> Vec<Size> {
    sizes.sort_by(|a, b| {
        let price = |size: &Size| size.price.as_ref().and_then(a_month).unwrap_or(f64::MAX);
        price(a)
            .total_cmp(&price(b))
            .then(a.memory_mb.cmp(&b.memory_mb))
            .then(a.cpus.unwrap_or_default().total_cmp(&b.cpus.unwrap_or_default()))
            .then_with(|| a.name.cmp(&b.name))
    });
    sizes
}

/// The same for the sizes there are in a region.
///
/// Errors: [`Error::Credentials`] when there are none because the cloud has no such region.
pub fn of_region(cloud: &dyn Provider, region: Option<&str>, sizes: Vec<Size>) -> Result<Vec<Size>> {
    if let Some(wanted) = region.filter(|_| sizes.is_empty()) {
        let regions: Vec<String> = cloud.regions()?.into_iter().map(|region| region.id).collect();
        if !regions.iter().any(|region| region == wanted) {
            let (name, all) = (cloud.name(), regions.join(", "));
            let message = format!("{name} has no region {wanted:?} (from `region` in [provider:{name}]); it has {all}");
            return Err(Error::Credentials { message });
        }
    }
    Ok(cheapest_first(sizes))
}

/// What a price comes to in a month.
pub fn a_month(price: &Price) -> Option<f64> {
    price.monthly.or_else(|| price.hourly.map(|hourly| hourly * HOURS))
}

/// What a price comes to in an hour.
pub fn an_hour(price: &Price) -> Option<f64> {
    price.hourly.or_else(|| price.monthly.map(|monthly| monthly / HOURS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheap_before_dear_before_unknown() {
        let size = |id: &str, monthly: Option<f64>, memory| Size {
            id: id.into(),
            name: id.into(),
            memory_mb: Some(memory),
            disk_gb: None,
            cpus: None,
            price: monthly.map(|monthly| Price { monthly: Some(monthly), hourly: None, currency: "USD".into() }),
        };
        let sizes = cheapest_first(vec![
            size("unknown", None, 1),
            size("dear", Some(9.0), 1),
            size("big", Some(4.0), 2),
            size("small", Some(4.0), 1),
        ]);
        let order: Vec<_> = sizes.iter().map(|size| size.id.as_str()).collect();
        assert_eq!(order, ["small", "big", "dear", "unknown"]);
    }
}
