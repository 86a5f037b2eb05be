//! The requests of one pull or push: authentication where the registry asks for it, redirects
//! within their rules, and what the statuses mean.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderName, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tidegate_types::Digest;

use super::challenge::{self, Challenge};
use super::transport::{Answer, Transport, authority, place};
use crate::credentials::{Credential, Credentials};
use crate::error::DistributionError;
use crate::layout::{Descriptor, MANIFEST, MAX_MANIFEST_BYTES, quoted};
use crate::reference::Reference;

const MAX_REDIRECTS: usize = 3;
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// For answers whose body nobody reads.
const MAX_UNREAD_BYTES: u64 = 64 << 10;
/// An index is asked for as well, so that it can be told that it is one.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Pull,
    Push,
}

pub(super) struct Session<'a> {
    transport: &'a Transport,
    credential: Option<&'a Credential>,
    reference: &'a Reference,
    action: Action,
    /// `https://HOST/v2/REPOSITORY`
    base: String,
    authorization: Option<HeaderValue>,
}

/// One request as it can be sent again.
struct Ask<'a> {
    method: Method,
    /// What is asked for, for messages.
    what: &'static str,
    header: Option<(HeaderName, &'a str)>,
    body: Bytes,
    /// The most bytes of an answer that says yes.
    limit: u64,
}

impl Ask<'_> {
    fn new(method: Method, what: &'static str) -> Self {
        Self { method, what, header: None, body: Bytes::new(), limit: MAX_UNREAD_BYTES }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(
        transport: &'a Transport,
        credentials: &'a Credentials,
        reference: &'a Reference,
        action: Action,
    ) -> Self {
        let registry = &reference.registry;
        let scheme = transport.scheme(registry);
        let base = format!("{scheme}://{registry}/v2/{}", reference.repository);
        let credential = credentials.of(registry);
        Self { transport, credential, reference, action, base, authorization: None }
    }

    /// A manifest by tag or digest.
    pub(super) async fn manifest(&mut self, name: &str) -> Result<Bytes, DistributionError> {
        let ask = Ask {
            header: Some((ACCEPT, MANIFESTS)),
            limit: MAX_MANIFEST_BYTES,
            ..Ask::new(Method::GET, "manifest")
        };
        let uri = self.uri(&format!("/manifests/{name}"))?;
        Ok(self.ask(uri, &ask).await?.body)
    }

    pub(super) async fn blob(
        &mut self,
        what: &'static str,
        descriptor: &Descriptor,
    ) -> Result<Bytes, DistributionError> {
        let ask = Ask { limit: descriptor.size, ..Ask::new(Method::GET, what) };
        let uri = self.uri(&format!("/blobs/{}", descriptor.digest))?;
        Ok(self.ask(uri, &ask).await?.body)
    }

    /// Uploads a blob that the registry does not have.
    pub(super) async fn push_blob(
        &mut self,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), DistributionError> {
        let uri = self.uri(&format!("/blobs/{digest}"))?;
        match self.ask(uri, &Ask::new(Method::HEAD, "blob")).await {
            Ok(_) => return Ok(()),
            Err(DistributionError::NotFound { .. }) => {}
            Err(other) => return Err(other),
        }
        let uri = self.uri("/blobs/uploads/")?;
        let opened = self.ask(uri.clone(), &Ask::new(Method::POST, "repository")).await?;
        let upload = location(&opened, &uri)?;
        self.check_next(&uri, &upload)?;
        let join = if upload.query().is_some() { '&' } else { '?' };
        let target = format!(
            "{upload}{join}digest={}",
            utf8_percent_encode(&digest.to_string(), NON_ALPHANUMERIC)
        );
        let target =
            target.parse().map_err(|_| self.broken("the upload's address cannot be read"))?;
        let ask = Ask {
            header: Some((CONTENT_TYPE, "application/octet-stream")),
            body: bytes,
            ..Ask::new(Method::PUT, "upload")
        };
        self.ask(target, &ask).await.map(drop)
    }

    pub(super) async fn push_manifest(
        &mut self,
        name: &str,
        bytes: Bytes,
    ) -> Result<(), DistributionError> {
        let uri = self.uri(&format!("/manifests/{name}"))?;
        let ask = Ask {
            header: Some((CONTENT_TYPE, MANIFEST)),
            body: bytes,
            ..Ask::new(Method::PUT, "repository")
        };
        self.ask(uri, &ask).await.map(drop)
    }

    fn uri(&self, path: &str) -> Result<Uri, DistributionError> {
        let text = format!("{}{path}", self.base);
        text.parse().map_err(|_| self.broken("the registry's address cannot be read"))
    }

    fn broken(&self, what: &'static str) -> DistributionError {
        DistributionError::Protocol { at: self.reference.to_string(), what }
    }

    /// Asks, authenticates once where the registry wants it, and follows redirects of reading.
    async fn ask(&mut self, uri: Uri, ask: &Ask<'_>) -> Result<Answer, DistributionError> {
        let first = uri;
        let mut answer = self.send(&first, ask, true).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Some(authorization) = self.authorize(&first, &answer).await?
        {
            self.authorization = Some(authorization);
            answer = self.send(&first, ask, true).await?;
        }
        let mut at = first.clone();
        for _ in 0..MAX_REDIRECTS {
            if !is_redirect(answer.status) {
                break;
            }
            let next = location(&answer, &at)?;
            self.check_next(&at, &next)?;
            if !matches!(ask.method, Method::GET | Method::HEAD) {
                let why = "and writing follows no redirect";
                return Err(DistributionError::Redirect { at: place(&at), to: place(&next), why });
            }
            // What opens one host is no business of another.
            let is_same_host = authority(&next) == authority(&first);
            answer = self.send(&next, ask, is_same_host).await?;
            at = next;
        }
        judge(answer, &at, ask.what)
    }

    async fn send(
        &self,
        uri: &Uri,
        ask: &Ask<'_>,
        with_authorization: bool,
    ) -> Result<Answer, DistributionError> {
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        if let Some((name, value)) = &ask.header {
            let value = HeaderValue::from_str(value).expect("our own header values are valid");
            headers.insert(name, value);
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| with_authorization) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        self.transport.exchange(request, ask.limit).await
    }

    /// The same scheme, a host that is allowed.
    fn check_next(&self, at: &Uri, next: &Uri) -> Result<(), DistributionError> {
        let why = if next.scheme_str() != at.scheme_str() {
            Some("which is another scheme")
        } else {
            self.transport.check(next).err().map(|why| why.reason())
        };
        match why {
            Some(why) => Err(DistributionError::Redirect { at: place(at), to: place(next), why }),
            None => Ok(()),
        }
    }

    /// What to show the registry after it has said 401; `None` where we have nothing.
    async fn authorize(
        &self,
        at: &Uri,
        answer: &Answer,
    ) -> Result<Option<HeaderValue>, DistributionError> {
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter();
        let mut challenges = challenges.filter_map(|value| challenge::read(value.to_str().ok()?));
        match challenges.next() {
            None => Ok(None),
            Some(Challenge::Basic) => {
                self.credential.map(|found| self.secret(found.basic())).transpose()
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                let token = self.token(at, &realm, service, scope).await?;
                self.secret(format!("Bearer {token}")).map(Some)
            }
        }
    }

    fn secret(&self, text: String) -> Result<HeaderValue, DistributionError> {
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| self.broken("the credential cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A token of the registry's token service.
    async fn token(
        &self,
        at: &Uri,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<String, DistributionError> {
        /// The two names mean the same; some services give both.
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let actions = if self.action == Action::Push { "pull,push" } else { "pull" };
        let scope =
            scope.unwrap_or_else(|| format!("repository:{}:{actions}", self.reference.repository));
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let join = if realm.contains('?') { '&' } else { '?' };
        let mut text = format!("{realm}{join}scope={}", encode(&scope));
        if let Some(service) = service {
            text.push_str(&format!("&service={}", encode(&service)));
        }
        let uri: Uri = text.parse().map_err(|_| self.broken("its token service has no address"))?;
        self.check_next(at, &uri)?;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = uri.clone();
        if let Some(credential) = self.credential {
            request.headers_mut().insert(AUTHORIZATION, self.secret(credential.basic())?);
        }
        let answer = self.transport.exchange(request, MAX_TOKEN_BYTES).await?;
        let answer = judge(answer, &uri, "token service")?;
        let none = || self.broken("its token service gives no token");
        let given: Token = serde_json::from_slice(&answer.body).map_err(|_| none())?;
        given.token.or(given.access_token).ok_or_else(none)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The header `Location`, which may be a path alone.
fn location(answer: &Answer, at: &Uri) -> Result<Uri, DistributionError> {
    let broken = || DistributionError::Protocol {
        at: place(at),
        what: "there is no header Location that can be read",
    };
    let text = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(broken)?;
    let whole = if text.starts_with('/') && !text.starts_with("//") {
        format!("{}://{}{text}", at.scheme_str().unwrap_or("https"), authority(at))
    } else {
        text.to_owned()
    };
    let next: Uri = whole.parse().map_err(|_| broken())?;
    if matches!(next.scheme_str(), Some("http" | "https")) { Ok(next) } else { Err(broken()) }
}

fn judge(answer: Answer, at: &Uri, what: &'static str) -> Result<Answer, DistributionError> {
    let (status, at) = (answer.status, place(at));
    match status.as_u16() {
        200..=299 => Ok(answer),
        404 => Err(DistributionError::NotFound { at, what }),
        401 | 403 => Err(DistributionError::Denied { at, status: status.as_u16() }),
        status => Err(DistributionError::Refused { at, status, said: said(&answer.body) }),
    }
}

/// The first message in the form that the specification gives to errors.
fn said(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let first = |member: &str| body.pointer(&format!("/errors/0/{member}"))?.as_str().map(quoted);
    first("message").or_else(|| first("code")).unwrap_or_default()
}
