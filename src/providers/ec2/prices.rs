//! What sizes cost: the API does not say, so a table comes along.

use std::collections::HashMap;

use crate::providers::Price;

/// Written by `scripts/update-ec2-prices`; its first lines say where it is from and of which day.
const TABLE: &str = include_str!("../data/ec2-prices.txt");

/// The price of each size in a region; empty for a region that is not in the table.
pub fn of_region(region: &str) -> HashMap<&'static str, Price> {
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let regions = lines.next().unwrap_or_default();
    let Some(column) = regions.split('\t').position(|name| name == region) else { return HashMap::new() };
    let price = |line: &'static str| {
        let mut cells = line.split('\t');
        let size = cells.next()?;
        let hourly = cells.nth(column.checked_sub(1)?)?.parse().ok()?;
        Some((size, Price { monthly: None, hourly: Some(hourly), currency: "USD".into() }))
    };
    lines.filter_map(price).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_prices_in_their_region() {
        let hourly = |region: &str, size: &str| of_region(region).get(size).and_then(|price| price.hourly);
        // As the price list of 2025 has them.
        assert_eq!(hourly("us-east-1", "t3.micro"), Some(0.0104));
        assert_eq!(hourly("eu-central-1", "m5.large"), Some(0.115));
        assert_eq!((hourly("us-east-1", "size"), hourly("mars-1", "t3.micro")), (None, None));
        assert!(of_region("size").is_empty() && of_region("us-east-1").len() > 500);
    }

    #[test]
    fn the_table_says_where_it_is_from() {
        let head: String = TABLE.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(
            head.contains("Apache License") && head.contains("libcloud") && head.contains("Prices of 20"),
            "{head}"
        );
    }
}
