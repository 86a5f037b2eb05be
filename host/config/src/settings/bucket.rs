//! The bucket that stored events may be in: the values of `[storage]` that are about it.

use figment::value::Value;

use crate::rule::{Rule, text_of};
use crate::section::Base;

/// A text of a form, or nothing.
pub(crate) struct Form {
    fits: fn(&str) -> bool,
    form: &'static str,
    nothing: &'static str,
}

/// The most characters of a value.
const MOST_CHARS: usize = 256;

pub(crate) const URL: Form = Form {
    fits: |text| text.strip_prefix("s3://").is_some_and(|rest| rest.len() >= 3),
    form: "s3://BUCKET/PREFIX",
    nothing: "empty: `storage.directory`",
};

pub(crate) const ENDPOINT: Form = Form {
    fits: |text| ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)),
    form: "https://HOST:PORT",
    nothing: "empty: that of AWS",
};

pub(crate) const REGION: Form = Form {
    fits: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
    form: "eu-central-1",
    nothing: "empty: as the environment says, or us-east-1",
};

pub(crate) const ACCESS_KEY_ID: Form = Form {
    fits: |text| text.bytes().all(|byte| byte.is_ascii_graphic()),
    form: "AKIAIOSFODNN7EXAMPLE",
    nothing: "empty: as the environment or the instance says",
};

impl Rule for Form {
    type Out = String;

    fn default(&self, _: &Base) -> String {
        String::new()
    }

    fn parse(&self, value: &Value) -> Result<String, String> {
        let is_short =
            |text: &String| text.len() <= MOST_CHARS && !text.contains(char::is_whitespace);
        let fits = |text: &String| text.is_empty() || (is_short(text) && (self.fits)(text));
        let refused = || format!("this does not fit: write such as \"{}\", or nothing", self.form);
        text_of(value).filter(fits).ok_or_else(refused)
    }

    fn default_text(&self) -> String {
        self.nothing.to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("such as `{}`, or empty", self.form)
    }
}
