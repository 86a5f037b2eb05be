//! Is the server one that idempotency can rest on? Told by its answer to `INFO`, which servers give
//! also where `CONFIG` is denied.

/// The oldest version that knows `SET` with both `NX` and `GET`.
const OLDEST: (u32, u32) = (7, 0);

/// Why a server is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("its version is {found}, and 7.0 is the oldest that can be used")]
    Version { found: String },
    #[error("it is loading its data")]
    Loading,
    #[error("it is a replica, which takes no writes")]
    Replica,
    #[error(
        "its maxmemory-policy is `{found}`: when its memory is full it forgets keys, and events \
         would be stored twice; set it to `noeviction`"
    )]
    Policy { found: String },
    #[error("its answer to INFO lacks `{field}`")]
    Unknown { field: &'static str },
}

fn field<'a>(info: &'a str, name: &'static str) -> Result<&'a str, Unfit> {
    let mut values = info.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.next().map(str::trim).ok_or(Unfit::Unknown { field: name })
}

/// Says what speaks against a server, by its answer to `INFO`.
pub(super) fn check(info: &str) -> Result<(), Unfit> {
    let version = field(info, "redis_version")?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
        return Err(Unfit::Version { found: version.to_owned() });
    }
    if field(info, "loading")? != "0" {
        return Err(Unfit::Loading);
    }
    if field(info, "role")? != "master" {
        return Err(Unfit::Replica);
    }
    match field(info, "maxmemory_policy")? {
        "noeviction" => Ok(()),
        other => Err(Unfit::Policy { found: other.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_against_a_server() {
        let good = "# Server\r\nredis_version:7.0.15\r\nloading:0\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n";
        assert_eq!(check(good), Ok(()));
        let version = |found: &str| Unfit::Version { found: found.into() };
        for (from, to, expected) in [
            ("7.0.15", "6.2.7", version("6.2.7")),
            ("7.0.15", "x", version("x")),
            ("loading:0", "loading:1", Unfit::Loading),
            ("role:master", "role:slave", Unfit::Replica),
            ("noeviction", "allkeys-lru", Unfit::Policy { found: "allkeys-lru".into() }),
            ("redis_version", "valkey", Unfit::Unknown { field: "redis_version" }),
            ("maxmemory_policy", "maxmemory", Unfit::Unknown { field: "maxmemory_policy" }),
        ] {
            assert_eq!(check(&good.replace(from, to)), Err(expected), "{to}");
        }
        for newer in ["7.2.0", "8.0.1", "10.0.0"] {
            assert_eq!(check(&good.replace("7.0.15", newer)), Ok(()), "{newer}");
        }
    }
}
