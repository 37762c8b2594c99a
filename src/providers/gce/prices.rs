//! What machine types cost: Google's API for machines does not say, so a table is shipped, whose first lines say of which day it is.

use super::super::node::Price;

/// Lines of family, region, dollars an hour for a processor and for a gigabyte of memory.
const TABLE: &str = include_str!("prices.tsv");

/// Machines that share processors pay for a part of one.
const SHARED: [(&str, f64); 3] = [("e2-micro", 0.25), ("e2-small", 0.5), ("e2-medium", 1.0)];

/// What a machine type costs on demand in a zone; `None` when the table does not have its family or its region.
pub fn of(machine_type: &str, zone: &str, cpus: f64, memory_mb: u64) -> Option<Price> {
    let (family, kind) = machine_type.split_once('-')?;
    // Those have prices of their own.
    if kind.starts_with("custom") {
        return None;
    }
    let region = zone.rsplit_once('-')?.0;
    let (cpu, memory) = rates(family, region)?;
    let cpus = match family {
        // The whole machine has one price.
        "f1" | "g1" => 1.0,
        _ => SHARED.iter().find(|(name, _)| *name == machine_type).map_or(cpus, |(_, part)| *part),
    };
    let hourly = cpus * cpu + memory_mb as f64 / 1024.0 * memory;
    Some(Price { monthly: None, hourly: Some(hourly), currency: "USD".into() })
}

fn rates(family: &str, region: &str) -> Option<(f64, f64)> {
    TABLE.lines().find_map(|line| {
        let mut fields = line.split('\t');
        (fields.next()? == family && fields.next()? == region)
            .then(|| Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?)))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let lines: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 100);
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(rates(fields[0], fields[1]).is_some_and(|(cpu, memory)| cpu > 0.0 && memory >= 0.0), "{line}");
        }
    }

    #[test]
    fn a_price_is_made_of_processors_and_memory() {
        let hourly = |name, cpus, memory| of(name, "us-central1-b", cpus, memory).and_then(|price| price.hourly);
        // The vendor's own price lists of that day.
        for (name, cpus, memory, expected) in [
            ("e2-micro", 2.0, 1024, 0.00838),
            ("e2-medium", 2.0, 4096, 0.03351),
            ("e2-standard-2", 2.0, 8192, 0.06701),
            ("n1-standard-1", 1.0, 3840, 0.04750),
            ("f1-micro", 1.0, 614, 0.0076),
        ] {
            let found = hourly(name, cpus, memory).unwrap();
            assert!((found - expected).abs() < 0.0001, "{name}: {found}");
        }
        assert_eq!((hourly("x9-big-1", 1.0, 1024), hourly("e2-custom-2-4096", 2.0, 4096)), (None, None));
        assert_eq!(of("e2-micro", "mars-north1-a", 2.0, 1024), None);
    }
}
