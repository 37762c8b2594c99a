//! Amazon's XML as JSON, so that it is read and kept like the answers of all other clouds.
//!
//! Namespaces are not looked at: each of these clouds, and each version of them, has another one.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use serde_json::{Map, Value};

/// Deeper than any answer is.
const DEEPEST: usize = 64;

/// An element that is being read.
struct Open {
    name: String,
    text: String,
    fields: Map<String, Value>,
    items: Vec<Value>,
}

/// Reads a document: the name of its root, and what is in it. An element with elements is an object; one with nothing but elements
/// called `item` (or with several of one other name) is an array; all else is a text, which may be empty.
///
/// Errors: why it is no whole document, as the end of "the answer is XML that ...".
pub fn read(bytes: &[u8]) -> Result<(String, Value), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Open> = Vec::new();
    loop {
        match reader.read_event().map_err(|error| format!("is broken: {error}"))? {
            Event::Start(start) if open.len() < DEEPEST => {
                let name = start.local_name().into_inner().to_owned();
                open.push(Open { name, text: String::new(), fields: Map::new(), items: Vec::new() });
            }
            Event::Start(_) => return Err(format!("is more than {DEEPEST} elements deep")),
            Event::Text(text) => append(&mut open, &text),
            Event::CData(text) => append(&mut open, &text),
            Event::GeneralRef(entity) => append(&mut open, &meaning(&entity)?),
            Event::End(_) => {
                let Some(ended) = open.pop() else { return Err("ends before it begins".into()) };
                let (name, value) = ended.close();
                match open.last_mut() {
                    Some(parent) => parent.add(name, value),
                    None => return Ok((name, value)),
                }
            }
            Event::Eof => return Err("does not end".into()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Empty(_) => {}
        }
    }
}

/// The items of a set; none when it is empty or missing.
pub fn items<'a>(value: &'a Value, set: &str) -> &'a [Value] {
    value.get(set).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn append(open: &mut [Open], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn meaning(entity: &BytesRef<'_>) -> Result<String, String> {
    let of_number = entity.resolve_char_ref().map_err(|error| format!("is broken: {error}"))?;
    let known = of_number.map(String::from).or_else(|| resolve_predefined_entity(entity).map(str::to_owned));
    known.ok_or_else(|| "has an unknown entity".to_owned())
}

impl Open {
    fn add(&mut self, name: String, value: Value) {
        if name == "item" {
            self.items.push(value);
            return;
        }
        match self.fields.get_mut(&name) {
            None => {
                self.fields.insert(name, value);
            }
            Some(Value::Array(several)) => several.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }

    fn close(self) -> (String, Value) {
        let value = if !self.items.is_empty() {
            Value::Array(self.items)
        } else if !self.fields.is_empty() {
            Value::Object(self.fields)
        } else {
            Value::String(self.text.trim().to_owned())
        };
        (self.name, value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_without_its_namespaces() {
        let text = r#"<?xml version="1.0"?><e:R xmlns:e="urn:x"><!-- c --><e:set><item><a>1 &lt;&#x32;&amp;</a><b/></item><item>x</item></e:set>
            <none/><two>1</two><two><![CDATA[<2>]]></two></e:R>"#;
        let (root, value) = read(text.as_bytes()).unwrap();
        assert_eq!(root, "R");
        assert_eq!(value, json!({"set": [{"a": "1 <2&", "b": ""}, "x"], "none": "", "two": ["1", "<2>"]}));
        assert_eq!(
            (items(&value, "set").len(), items(&value, "none").len(), items(&value, "missing").len()),
            (2, 0, 0)
        );
    }

    #[test]
    fn what_is_no_whole_document_is_refused() {
        for (text, why) in [
            ("", "does not end"),
            ("{}", "does not end"),
            ("<a><b></a>", "is broken"),
            ("<a>&lol;</a>", "has an unknown entity"),
            ("<a>", "does not end"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
        assert!(read(b"<a>\xff</a>").is_err());
        let deep = "<a>".repeat(100_000);
        assert_eq!(read(deep.as_bytes()).unwrap_err(), "is more than 64 elements deep");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in "(</?(a|item)>|<b/>|&(lt|x|#1);|[a&<;]){0,12}") {
            let _ = read(text.as_bytes());
        }
    }

    #[test]
    fn all_images_of_a_region_are_read_in_less_than_a_tenth_of_a_second() {
        const IMAGE: &str = "<item><imageId>ami-0123456789abcdef0</imageId><imageLocation>amazon/Windows_Server-2016-English-Full-Base</imageLocation>\
            <imageState>available</imageState><imageOwnerId>801119661308</imageOwnerId><isPublic>true</isPublic>\
            <architecture>x86_64</architecture><imageType>machine</imageType><platform>windows</platform>\
            <name>Windows_Server-2016-English-Full-Base-2017.11.19</name><description>Windows &amp; more</description>\
            <rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping><item>\
            <deviceName>/dev/sda1</deviceName><ebs><snapshotId>snap-0123456789abcdef0</snapshotId><volumeSize>15</volumeSize>\
            <deleteOnTermination>false</deleteOnTermination><volumeType>standard</volumeType></ebs></item></blockDeviceMapping>\
            <virtualizationType>hvm</virtualizationType><tagSet/><hypervisor>xen</hypervisor>\
            <creationDate>2017-11-19T00:00:00.000Z</creationDate></item>";
        let text =
            format!("<DescribeImagesResponse><imagesSet>{}</imagesSet></DescribeImagesResponse>", IMAGE.repeat(1300));
        // The best of a few: others may have the processor meanwhile.
        let best = (0..20).map(|_| {
            let start = Instant::now();
            let (_, value) = read(text.as_bytes()).unwrap();
            assert_eq!(items(&value, "imagesSet").len(), 1300);
            start.elapsed()
        });
        let best = best.min().unwrap();
        println!("{} bytes in {best:?}", text.len());
        // What users run is optimised; the goal is theirs.
        let goal = if cfg!(debug_assertions) { 1000 } else { 100 };
        assert!(best < Duration::from_millis(goal), "{best:?}");
    }
}
