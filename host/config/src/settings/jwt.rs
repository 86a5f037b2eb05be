//! Whose bearer tokens are taken, and how their keys are kept.

pub(crate) mod issuers;

use std::path::PathBuf;
use std::time::Duration;

use crate::rule::{OptionalFile, count, size, time};
use crate::section::section;
use issuers::{Issuer, Issuers};

section! {
    /// Bearer tokens (JWT) of outside issuers, such as servers of OpenID Connect.
    Jwt in "jwt" {
        /// Who may issue them: `[[jwt.issuers]]`, each with the keys listed below.
        issuers: Vec<Issuer> = Issuers;
        /// The age at which an issuer's keys are fetched anew. Files are looked at each second.
        keys_refresh: Duration = time("10m", "10ms", "24h");
        /// The age from which keys that could not be fetched anew are no longer used: tokens of
        /// their issuer are answered 503 then.
        keys_max_age: Duration = time("1h", "10ms", "720h");
        /// The time from one fetch of an issuer's keys to the next at least, also where tokens name
        /// keys that are not known, or a fetch has failed.
        keys_interval: Duration = time("30s", "10ms", "1h");
        /// How long a request waits for keys that are being fetched.
        keys_wait: Duration = time("2s", "1ms", "20s");
        /// How long one fetch may take.
        keys_timeout: Duration = time("5s", "10ms", "1m");
        /// Bytes of an issuer's key set.
        max_keys_bytes: usize = size("256KiB", "1KiB", "4MiB");
        /// Verified tokens that are remembered until they expire, by digest.
        cached_tokens: usize = count("20000", "32", "1000000");
        /// Certificates (PEM) that issuers may have beside those that the system trusts.
        ca_file: Option<PathBuf> = OptionalFile;
    }
}
