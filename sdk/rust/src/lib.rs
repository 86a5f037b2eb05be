//! Write Tidegate rule components in Rust: row by row against typed fields, while whole columns
//! cross the boundary between the component and its host.
//!
//! # A rule
//! ```
//! use tidegate_sdk::{
//!     Code, Config, Field, Integer, Invalid, Lookup, Manifest, Outcome, Role, Row, Rule, Severity,
//!     Target, Text,
//! };
//!
//! /// Flags flights of aeroplanes that are too old, and writes the year they were built.
//! struct PlaneAge {
//!     tailnum: Field<Text>,
//!     flown: Field<Integer>,
//!     built: Lookup<Integer>,
//!     built_in: Target,
//!     missing: Code,
//!     too_old: Code,
//!     limit: i64,
//! }
//!
//! impl Rule for PlaneAge {
//!     const NAME: &'static str = concat!("plane-age/", env!("CARGO_PKG_VERSION"));
//!     const ROLE: Role = Role::Enricher;
//!
//!     // Once per instance: read the configuration, declare what the rule uses, keep the handles.
//!     fn configure(config: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid> {
//!         let limit = config.object(&["most_years"])?.required("most_years")?.count()?;
//!         let tailnum = manifest.read("/tailnum");
//!         let planes = manifest.table("planes");
//!         let year = manifest.table_column(planes, "year");
//!         Ok(Self {
//!             tailnum,
//!             flown: manifest.read("/year"),
//!             built: manifest.lookup(year, tailnum),
//!             built_in: manifest.write("/plane/built_in"),
//!             missing: manifest.code("missing", Severity::Hard),
//!             too_old: manifest.code("too-old", Severity::Warn),
//!             limit: i64::try_from(limit).unwrap_or(i64::MAX),
//!         })
//!     }
//!
//!     // For every row of every batch.
//!     fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
//!         let Some(flown) = out.require(row, self.flown, self.missing) else { return };
//!         let Some(built) = row.get(self.built).present() else { return };
//!         out.set(self.built_in, &built);
//!         let age = flown - built;
//!         if age > self.limit {
//!             out.finding(self.too_old, self.tailnum, format_args!("{age} years old"));
//!         }
//!     }
//! }
//!
//! tidegate_sdk::export!(PlaneAge);
//! # tidegate_sdk::testing::check_case::<PlaneAge>(r#"{
//! #   "config": {"most_years": 40},
//! #   "tables": {"planes": [{"tailnum": "N1", "year": "1956"}, {"tailnum": "N2", "year": null}]},
//! #   "events": [{"tailnum": "N1", "year": 2013}, {"tailnum": "N2", "year": 2013}, {"tailnum": "N1"}],
//! #   "expect": {
//! #     "findings": [
//! #       {"row": 0, "code": "too-old", "severity": "warn", "pointer": "/tailnum", "detail": "57 years old"},
//! #       {"row": 2, "code": "missing", "severity": "hard", "pointer": "/year", "detail": "is missing"}
//! #     ],
//! #     "patches": [{"row": 0, "op": "set", "pointer": "/plane/built_in", "value": 1956}]
//! #   }
//! # }"#).unwrap();
//! ```
//! The crate has `crate-type = ["cdylib", "rlib"]` and is built with
//! `cargo build --release --target wasm32-wasip2`. What comes out is the component; nothing else
//! is needed. `panic = "abort"`, `lto = true` and `strip = true` keep it small.
//!
//! # What to know
//! - **Declared fields.** A rule reads and writes only what it declared: the host checks it, and
//!   people read the declaration before they activate the rule. A field is read as a kind of cell:
//!   [`Text`], [`Integer`], [`Number`], [`Boolean`], [`Json`] (any value, as its text), or
//!   [`Presence`] (is anything there?). A row answers with a [`Cell`]: missing, null, of another
//!   type, or present. Besides JSON pointers there are host columns: `@event_id`, `@received_at`
//!   and others, listed in the contract.
//! - **Rows are independent.** What a rule says of a row may depend on that row, the configuration
//!   and the reference tables. There is no clock, no randomness that matters and no network. What
//!   a rule remembers from one call to the next may vanish at any time.
//! - **Findings** have a code, a severity and a detail for people. [`Severity::Soft`] quarantines
//!   the event and [`Severity::Hard`] rejects it. **Patches** set and remove fields; only rules of
//!   role [`Role::Enricher`] may.
//! - **Checks** that the host runs natively over a whole column: [`Manifest::matches`] (regular
//!   expression), [`Manifest::conforms`] (JSON Schema), [`Manifest::in_range`] and
//!   [`Manifest::contains`] (reference table; [`Manifest::contains_key`] where the key is made of
//!   the text). A row answers with [`Row::check`]. Give them fields
//!   of [`Manifest::read_lazily`] where the rule needs the answer alone: then no value crosses.
//! - **Cost.** Fields that are read cross once a batch, in one call. A row costs nanoseconds and
//!   nothing is allocated while nothing is found, so keep it so in your own code: make texts in
//!   `configure`, and pass `format_args!` as detail.
//! - **A panic** is a fault: the host drops the instance and holds the events it could not judge.
//!
//! # Testing
//! Write golden cases, one JSON file each, and run them natively with
//! `tidegate_sdk::testing::run_cases`: see that module for their form. The same files run against the built component in the gateway.

pub mod log;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod time;

mod batch;
mod boundary;
mod outcome;
mod rule;

pub use batch::{
    Batch, Boolean, Cell, Integer, Json, Kind, LookedUp, Number, Numeric, Presence, Row, Text,
};
pub use outcome::{DETAIL_BYTES, Outcome, RawJson, Severity, ToJson};
pub use rule::config::{Config, Invalid, Object, Problem};
pub use rule::manifest::{
    Check, Code, Field, Lookup, Manifest, Metric, Source, Table, TableColumn, Target,
};
pub use rule::{Role, Rule};

/// What [`export!`] expands to; no part of the interface.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod __component {
    pub use crate::boundary::wasm::{
        ConfigureAnswer, EvaluateAnswer, Guest, bindings, configure, evaluate,
    };
    pub use crate::rule::Instance;
}

/// Makes a type that implements [`Rule`] the one that this component exports. Once in a crate of
/// type `cdylib`. On other targets than Wasm it expands to nothing.
#[macro_export]
macro_rules! export {
    ($rule:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "exporting a function by name is unsafe to the compiler")]
        const _: () = {
            use $crate::__component as component;

            ::std::thread_local! {
                static INSTANCE: ::std::cell::RefCell<Option<component::Instance<$rule>>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            struct Exported;

            impl component::Guest for Exported {
                fn configure(config: ::std::string::String) -> component::ConfigureAnswer {
                    INSTANCE.with_borrow_mut(|slot| component::configure(slot, &config))
                }

                fn evaluate() -> component::EvaluateAnswer {
                    INSTANCE.with_borrow(|slot| component::evaluate(slot.as_ref()))
                }
            }

    component::bindings::export_component!(Exported with_types_in component::bindings);
        };
    };
}
