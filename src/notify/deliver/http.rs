//! Requests.
//!
//! Each has one limit of time for all of it: looking up the name, connecting, TLS and the answer, of
//! which a few kilobytes are read. A redirect is an answer like any other. What the library says of an
//! error may hold the URL, so that it is put into our own words.

use std::fmt;
use std::io::Read;
use std::sync::PoisonError;
use std::time::Duration;

use ureq::Agent;
use ureq::http;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::{Done, Trust, judge};
use crate::core::notify::Transport;
use crate::core::notify::url::{Scheme, Url, is_private};
use crate::notify::wire::{DeliveryResult, Method, Request};
use crate::sys::clock;

/// So much of an answer is read.
const LONGEST_ANSWER: u64 = 4096;

/// What is said where a message would leave the network in clear.
const IN_CLEAR: &str = "http:// is only for this machine and private networks: use https:// for others, \
                        or http_ok = true";

/// Sends a request and judges the answer.
pub(super) fn send(
    service: &str,
    request: &Request,
    transport: &Transport,
    limit: Duration,
    trust: &Trust,
) -> Done {
    match exchange(request, transport, limit, trust) {
        Ok(answer) => judged(service, answer),
        Err(done) => done,
    }
}

/// Whether a server is there, whatever it says: nothing of what it is for is asked.
pub(super) fn reach(place: &str, transport: &Transport, limit: Duration, trust: &Trust) -> Done {
    let (url, headers) = (format!("{place}/").into(), Vec::new());
    let request = Request { method: Method::Head, url, headers, body: String::new() };
    match exchange(&request, transport, limit, trust) {
        Ok(answer) => {
            let status = Some(answer.status().as_u16());
            Done { status, ..Done::of(DeliveryResult::Sent, "") }
        }
        Err(done) => done,
    }
}

fn exchange(
    request: &Request,
    transport: &Transport,
    limit: Duration,
    trust: &Trust,
) -> Result<http::Response<ureq::Body>, Done> {
    let url = Url::http(&request.url).map_err(|why| Done::refused(&format!("url: it {why}")))?;
    if url.scheme() == Scheme::Http && !transport.http_ok && url.is_private() == Some(false) {
        return Err(Done::refused(IN_CLEAR));
    }
    let agent = kept(&url, transport, limit, trust)?;
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
    };
    let mut built = http::Request::builder().method(method).uri(url.secret_text());
    for (name, value) in &request.headers {
        built = built.header(&**name, value.as_str());
    }
    let no_request = |_| Done::refused("it is no request that HTTP knows");
    // What has no body says nothing of its length.
    let answer = match request.method {
        Method::Get | Method::Head => agent.run(built.body(()).map_err(no_request)?),
        Method::Post => agent.run(built.body(request.body.clone()).map_err(no_request)?),
    };
    answer.map_err(|error| failed(&error, limit))
}

/// What an answer means.
fn judged(service: &str, mut answer: http::Response<ureq::Body>) -> Done {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    let body_limit = answer.headers().get("ping-body-limit");
    let body_limit = body_limit.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    // The status has said what there is to know: a body that does not end well changes nothing.
    let _ = answer.body_mut().as_reader().take(LONGEST_ANSWER).read_to_end(&mut body);
    let body = String::from_utf8_lossy(&body).into_owned();
    let (result, retry_after) =
        judge::http(service, status, retry_after.as_deref(), &body, clock::wall());
    let answer = match status {
        300..400 => "it redirects, which is not followed: give the URL that it leads to".to_owned(),
        _ => body,
    };
    Done { status: Some(status), retry_after, body_limit, ..Done::of(result, &answer) }
}

/// Who sends it: whoever has sent something there already, and may still be connected.
fn kept(url: &Url, transport: &Transport, limit: Duration, trust: &Trust) -> Result<Agent, Done> {
    let agents = || trust.agents.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (url.origin(), transport.clone());
    if let Some(agent) = agents().get(&key) {
        return Ok(agent.clone());
    }
    let agent = agent(url, transport, limit, trust)?;
    Ok(agents().entry(key).or_insert(agent).clone())
}

/// Somebody who sends things there.
fn agent(url: &Url, transport: &Transport, limit: Duration, trust: &Trust) -> Result<Agent, Done> {
    let config = Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(16 * 1024)
        .user_agent("")
        .accept("");
    match url.scheme() {
        Scheme::Http => {
            let config = config.proxy(None).build();
            Ok(match transport.http_ok {
                true => config.new_agent(),
                false => Agent::with_parts(config, DefaultConnector::new(), PrivateOnly::default()),
            })
        }
        _ => secure::agent(config, url, transport, trust),
    }
}

/// Finds no addresses but those of this machine and of private networks.
#[derive(Debug, Default)]
struct PrivateOnly(DefaultResolver);

impl Resolver for PrivateOnly {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.0.resolve(uri, config, timeout)?;
        let mut private = self.empty();
        for address in all.iter().filter(|address| is_private(address.ip())) {
            private.push(*address);
        }
        if private.is_empty() { Err(ureq::Error::Other(InClear.into())) } else { Ok(private) }
    }
}

/// A name leads to an address that is not private.
#[derive(Debug)]
struct InClear;

impl fmt::Display for InClear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(IN_CLEAR)
    }
}

impl std::error::Error for InClear {}

/// Why there is no answer.
fn failed(error: &ureq::Error, limit: Duration) -> Done {
    use ureq::Error;
    let text = match error {
        Error::Timeout(_) => return Done::too_late(limit),
        Error::Other(error) if error.is::<InClear>() => return Done::refused(IN_CLEAR),
        Error::Http(_) | Error::BadUri(_) | Error::RequireHttpsOnly(_) => {
            return Done::refused("url: it is none that HTTP knows");
        }
        Error::Io(error) => error.to_string(),
        Error::HostNotFound => "its name has no address".to_owned(),
        Error::Protocol(_) => "its answer is no HTTP".to_owned(),
        Error::LargeResponseHeader(..) => "the head of its answer is too long".to_owned(),
        Error::ConnectProxyFailed(why) => format!("the proxy: {why}"),
        other => other.to_string(),
    };
    Done::silence(&text)
}

#[cfg(feature = "tls")]
mod secure {
    //! `https://`

    use ureq::config::ConfigBuilder;
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    use ureq::typestate::AgentScope;
    use ureq::{Agent, Proxy};

    use super::super::roots::Roots;
    use super::super::{Done, Trust, proxy};
    use crate::core::notify::Transport;
    use crate::core::notify::url::Url;

    pub(super) fn agent(
        config: ConfigBuilder<AgentScope>,
        url: &Url,
        transport: &Transport,
        trust: &Trust,
    ) -> Result<Agent, Done> {
        let roots = match &trust.roots {
            Ok(Roots::BuiltIn) => RootCerts::WebPki,
            Ok(Roots::These(all)) => {
                let all: Vec<Certificate<'static>> =
                    all.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
                RootCerts::new_with_certs(&all)
            }
            Err(why) => return Err(Done::again(why)),
        };
        let variable = |name: &str| std::env::var(name).ok();
        let proxy = proxy(url, transport, variable)?;
        let tls = TlsConfig::builder().root_certs(roots).build();
        Ok(config.https_only(true).proxy(proxy).tls_config(tls).build().new_agent())
    }

    /// The proxy that leads there.
    fn proxy(
        url: &Url,
        transport: &Transport,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Proxy>, Done> {
        if let Some(named) = &transport.proxy {
            let no_url = |_| Done::refused("proxy: it is no URL such as http://proxy:3128");
            return (!named.is_empty()).then(|| Proxy::new(named).map_err(no_url)).transpose();
        }
        let none = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
        let named = proxy::of_environment(variable);
        let Some(named) = named.filter(|_| !url.is_loopback()) else { return Ok(None) };
        if proxy::is_bypassed(url.host(), &none) {
            return Ok(None);
        }
        // It will be another one after a restart: until then, the message waits.
        match Proxy::new(named.trim()) {
            Ok(proxy) if proxy.protocol() == ureq::ProxyProtocol::Http => Ok(Some(proxy)),
            Ok(proxy) if proxy.protocol() == ureq::ProxyProtocol::Https => Ok(Some(proxy)),
            _ => Err(Done::again("HTTPS_PROXY is no URL such as http://proxy:3128")),
        }
    }
}

#[cfg(not(feature = "tls"))]
mod secure {
    //! `https://`, where there is none.

    use ureq::Agent;
    use ureq::config::ConfigBuilder;
    use ureq::typestate::AgentScope;

    use super::super::{Done, Trust};
    use crate::core::notify::Transport;
    use crate::core::notify::url::Url;

    pub(super) fn agent(
        _: ConfigBuilder<AgentScope>,
        _: &Url,
        _: &Transport,
        _: &Trust,
    ) -> Result<Agent, Done> {
        Err(Done::refused("this schedrs is built without the feature `tls`, which https:// needs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_network_in_clear() {
        let resolve = |text: &str| {
            let uri: http::Uri = text.parse().unwrap();
            PrivateOnly::default().resolve(&uri, &Default::default(), NextTimeout::default())
        };
        assert_eq!(resolve("http://10.0.0.1:80/").unwrap().len(), 1);
        let error = resolve("http://192.0.2.1:80/").unwrap_err();
        let done = failed(&error, Duration::ZERO);
        assert_eq!(
            (done.result, &*done.answer),
            (crate::notify::wire::DeliveryResult::Refused, IN_CLEAR)
        );
    }

    /// What the library says of an error may have the URL in it.
    #[test]
    fn errors_do_not_show_where() {
        for error in [
            ureq::Error::BadUri("https://example.org/s3cret".to_owned()),
            ureq::Error::RequireHttpsOnly("https://example.org/s3cret".to_owned()),
        ] {
            let done = failed(&error, Duration::ZERO);
            assert!(!done.answer.contains("s3cret"), "{}", done.answer);
        }
    }
}
