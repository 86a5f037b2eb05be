//! Rules of networks.

use std::net::IpAddr;

use figment::value::Value;
use ipnet::IpNet;

use super::{Rule, text_of};
use crate::section::Base;

/// A list of networks; in the environment joined by commas. The default is none.
pub(crate) struct Networks;

impl Rule for Networks {
    type Out = Vec<IpNet>;

    fn default(&self, _: &Base) -> Vec<IpNet> {
        Vec::new()
    }

    fn parse(&self, value: &Value) -> Result<Vec<IpNet>, String> {
        let texts: Vec<String> = match value {
            Value::Array(_, values) => {
                values.iter().map(|value| text_of(value).unwrap_or_default()).collect()
            }
            other => {
                let text = text_of(other).ok_or("this is no list: write a list of networks")?;
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                words.map(str::to_owned).collect()
            }
        };
        texts.iter().map(|text| network(text)).collect()
    }

    fn default_text(&self) -> String {
        "none".to_owned()
    }

    fn bounds_text(&self) -> String {
        "a list of networks, or of single addresses".to_owned()
    }
}

/// The address itself may stand for the network of it alone.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse::<IpNet>().ok().or_else(address);
    network.ok_or_else(|| {
        let text: String = text.chars().take(60).collect();
        format!("`{text}` is not a network: write ADDRESS/BITS, such as \"10.0.0.0/8\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, expected) in [
            ("", Ok("")),
            ("10.0.0.0/8", Ok("10.0.0.0/8")),
            ("10.1.2.3", Ok("10.1.2.3/32")),
            ("::1, 192.168.0.0/16", Ok("::1/128 192.168.0.0/16")),
            ("10.0.0.0/33", Err(())),
            ("proxy.local", Err(())),
        ] {
            let read = Networks.parse(&Value::from(text)).map_err(drop);
            let read =
                read.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
    }
}
