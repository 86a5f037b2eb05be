//! Which credentials would do, and what was wrong with a token: `WWW-Authenticate` (RFC 9110, section
//! 11.6.1; RFC 6750, section 3).

use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Response};
use tidegate_types::{Problem, ProblemType};

use super::{self as answer, Body};
use crate::stage::authenticate::bearer;

/// What a request came with, as far as the challenge depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Challenge {
    /// It came with a token, and is told what was wrong with it.
    Token,
    /// It came with a token and something beside it.
    Several,
    /// Tokens would be taken as well.
    Either,
    /// Tokens are not taken, or it came with a key.
    KeyAlone,
}

impl Challenge {
    pub(in crate::http) fn of(takes_tokens: bool, headers: &HeaderMap) -> Self {
        match (bearer::is_given(headers), headers.contains_key("x-api-key")) {
            _ if !takes_tokens => Self::KeyAlone,
            (true, true) => Self::Several,
            (true, false) if bearer::is_repeated(headers) => Self::Several,
            (true, false) => Self::Token,
            (false, false) => Self::Either,
            (false, true) => Self::KeyAlone,
        }
    }

    /// A problem as its response.
    pub(in crate::http) fn answer(self, problem: &Problem) -> Response<Body> {
        let mut response = answer::problem(problem);
        let headers = response.headers_mut();
        let told = match (self, problem.kind) {
            (Self::Token, ProblemType::Unauthenticated) => told("invalid_token", problem),
            (Self::Token, ProblemType::Forbidden) => told("insufficient_scope", problem),
            (Self::Several, ProblemType::Unauthenticated) => told("invalid_request", problem),
            (Self::Either, ProblemType::Unauthenticated) => {
                headers.append(WWW_AUTHENTICATE, BARE);
                return response;
            }
            _ => return response,
        };
        headers.insert(WWW_AUTHENTICATE, told);
        response
    }
}

const BARE: HeaderValue = HeaderValue::from_static("Bearer realm=\"tidegate\"");

/// The description has the characters that RFC 6750 allows, whatever the detail has.
fn told(error: &str, problem: &Problem) -> HeaderValue {
    let fits = |c: &char| matches!(c, ' '..='~') && *c != '"' && *c != '\\';
    let detail: String = problem.detail.chars().filter(fits).collect();
    let text =
        format!("Bearer realm=\"tidegate\", error=\"{error}\", error_description=\"{detail}\"");
    HeaderValue::try_from(text).unwrap_or(BARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ApiKey realm=\"tidegate\"";
    const BEARER: &str = "Bearer realm=\"tidegate\"";

    fn check(
        takes_tokens: bool,
        given: &[(&'static str, &'static str)],
        problem: &Problem,
        expected: &[&str],
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let response = Challenge::of(takes_tokens, &headers).answer(problem);
        let found: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
        assert_eq!(found, expected, "{takes_tokens} {given:?}");
    }

    #[test]
    fn each_request_is_told_what_would_do() {
        let problem = Problem::new(ProblemType::Unauthenticated, "the \"token\" has\nexpired\\");
        let told = |error| {
            format!("{BEARER}, error=\"{error}\", error_description=\"the token hasexpired\"")
        };
        let (token, basic) = (("authorization", "Bearer x"), ("authorization", "Basic x"));
        let key = ("x-api-key", "k");
        for (takes_tokens, given, expected) in [
            (true, vec![token], vec![&*told("invalid_token")]),
            (true, vec![basic], vec![KEY, BEARER]),
            (true, vec![], vec![KEY, BEARER]),
            (true, vec![key], vec![KEY]),
            (true, vec![key, token], vec![&*told("invalid_request")]),
            (true, vec![token, token], vec![&*told("invalid_request")]),
            (true, vec![basic, token], vec![&*told("invalid_request")]),
            (false, vec![key, token], vec![KEY]),
            (false, vec![token], vec![KEY]),
            (false, vec![], vec![KEY]),
        ] {
            check(takes_tokens, &given, &problem, &expected);
        }
    }

    #[test]
    fn a_token_without_the_scope_is_told_so_and_nothing_else_is() {
        let (token, key) = (("authorization", "Bearer x"), ("x-api-key", "k"));
        let lacks = Problem::new(ProblemType::Forbidden, "it lacks the scope s");
        let told = format!(
            "{BEARER}, error=\"insufficient_scope\", error_description=\"it lacks the scope s\""
        );
        check(true, &[token], &lacks, &[&told]);
        check(true, &[key], &lacks, &[]);
        check(true, &[token], &Problem::new(ProblemType::TooManyRequests, "wait"), &[]);
        check(true, &[token], &Problem::new(ProblemType::Unavailable, "wait"), &[]);
    }
}
