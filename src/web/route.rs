//! From a request to what it is answered with.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use maud::Markup;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::access::{Peer, Refused, Who, is_foreign, only, says_origin};
use super::body::Body;
use super::page::{self, View};
use super::query::{Query, decoded};
use super::server::{Failure, Server};
use super::source::{Act, Frame, Heard, Overview, Source, Trouble, Verb};
use super::{ansi, api, asset};
use crate::core::zone::Zone;
use crate::problem::clean;
use crate::sys::clock;

/// A form is not longer, and is there within this time.
const FORM: usize = 4 << 10;
const FORM_TIME: Duration = Duration::from_secs(10);
/// How old the lists may be that are shown.
const FRESH: Duration = Duration::from_secs(1);
/// And what stands on top of other pages.
const FRAME: Duration = Duration::from_secs(10);
/// A stream of events says something at least as often, so that proxies and we know of each other.
const PING: Duration = Duration::from_secs(15);
/// And ends after this long: the browser asks again.
const STREAM: usize = 240;

/// What a browser may do with a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What programs are answered in.
const JSON: &str = "application/json";

type Answer = Response<Body>;

/// Answers a request.
pub(super) async fn answer(
    server: &Arc<Server>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Answer {
    let mut answer = judged(server, peer, request).await;
    let headers = answer.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// Answers one that may ask, as far as that can be told before it is known what it asks for.
async fn judged(server: &Arc<Server>, peer: &Peer, request: Request<Incoming>) -> Answer {
    let headers = request.headers();
    let Some(host) = only(headers, "host").filter(|_| request.uri().authority().is_none()) else {
        return text(StatusCode::BAD_REQUEST, "A request needs one Host, and a path.");
    };
    if !server.access.is_called(host, peer) {
        let said = "Nothing is served here under this name. Names that lead here stand in \
                    [web] hosts of the jobfile.";
        return text(StatusCode::MISDIRECTED_REQUEST, said);
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read && request.method() != Method::POST {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET, HEAD and POST.");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        return answer;
    }
    if is_foreign(headers, host, is_read) {
        return text(StatusCode::FORBIDDEN, "Another page may not ask for this.");
    }
    match is_read {
        true => read(server, peer, &request).await,
        false => write(server, peer, request).await,
    }
}

/// The parts of a path, each as it is meant.
fn parts(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(decoded).collect()
}

async fn read(server: &Arc<Server>, peer: &Peer, request: &Request<Incoming>) -> Answer {
    let parts = parts(request.uri().path());
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let now = clock::mono();
    match parts[..] {
        ["static", version, name] => return fixed(version, name),
        ["login"] => return log_in(server, &query),
        _ => {}
    }
    let who = server.access.who(peer, request.headers(), now);
    let is_open = matches!(parts[..], ["health" | "ready" | "metrics"]);
    let is_for_tools = is_open || parts[0] == "api";
    let who = match who {
        Err(_) if is_open && server.access.has_open_metrics() => {
            Who { name: "nobody".into(), by_cookie: false }
        }
        Err(why) => return refused(server, why, is_for_tools),
        Ok(who) => who,
    };
    match parts[..] {
        ["health"] => health(server, false).await,
        ["ready"] => health(server, true).await,
        ["metrics"] => metrics(server).await,
        ["events"] => changes(server),
        ["api", "v1", ref rest @ ..] => api(server, rest, &query).await,
        ["runs", number, "events"] => follow(server, number),
        _ => shown(server, &parts, &query, &who).await,
    }
}

/// What a program asks for, as JSON.
async fn api(server: &Arc<Server>, parts: &[&str], query: &Query) -> Answer {
    let question = match api::read(parts, query) {
        None => {
            let there = "There is /api/v1/list, /api/v1/next, /api/v1/history and /api/v1/why.";
            return unanswered(StatusCode::NOT_FOUND, there);
        }
        Some(Err(wrong)) => return unanswered(StatusCode::BAD_REQUEST, &wrong),
        Some(Ok(question)) => question,
    };
    let done = server.work(move |source| {
        let answer = source.api(&question)?;
        crate::problem::json(&answer).map_err(|error| Trouble::Failed(error.to_string()))
    });
    match done.await {
        Ok(answer) => of_kind(StatusCode::OK, JSON, (answer + "\n").into()),
        Err(Failure::Busy) => busy(),
        Err(Failure::Trouble(trouble)) => {
            let status = match &trouble {
                Trouble::Unknown(_) => StatusCode::NOT_FOUND,
                Trouble::Wrong(_) => StatusCode::BAD_REQUEST,
                Trouble::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            unanswered(status, &trouble.to_string())
        }
    }
}

/// Why a program has no answer.
fn unanswered(status: StatusCode, why: &str) -> Answer {
    let body = crate::problem::json(&serde_json::json!({ "error": clean(why) }));
    of_kind(status, JSON, (body.unwrap_or_default() + "\n").into())
}

/// A page.
async fn shown(server: &Arc<Server>, parts: &[&str], query: &Query, who: &Who) -> Answer {
    let has_actions = server.access.has_actions();
    let (parts, query) =
        (parts.iter().map(|part| (*part).to_owned()).collect::<Vec<String>>(), query.clone());
    let user = who.name.clone();
    let done = server.work(move |source| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Ok(page_of(source, &parts, &query, has_actions, &user))
    });
    match done.await {
        Ok((status, markup)) => html(status, markup),
        Err(_) => busy(),
    }
}

/// What stands at an address.
fn page_of(
    source: &dyn Source,
    parts: &[&str],
    query: &Query,
    has_actions: bool,
    user: &str,
) -> (StatusCode, Markup) {
    let age = if matches!(parts, [""] | ["jobs"] | ["jobs", _]) { FRESH } else { FRAME };
    let all = match source.overview(age) {
        Ok(all) => all,
        Err(trouble) => {
            let frame = Frame {
                now: clock::wall(),
                zone: Zone::utc(),
                name: String::new(),
                trouble: Some(trouble.to_string()),
                has_fleet: false,
            };
            let view = View { frame: &frame, has_actions: false };
            return (StatusCode::SERVICE_UNAVAILABLE, page::sorry(&view, "Nothing to show", ""));
        }
    };
    let view = View { frame: &all.frame, has_actions };
    match one(source, &all, &view, parts, query, user) {
        Ok(markup) => (StatusCode::OK, markup),
        Err(Trouble::Unknown(text)) => {
            (StatusCode::NOT_FOUND, page::sorry(&view, "Not found", &text))
        }
        Err(Trouble::Wrong(text) | Trouble::Failed(text)) => {
            (StatusCode::SERVICE_UNAVAILABLE, page::sorry(&view, "Not now", &text))
        }
    }
}

fn one(
    source: &dyn Source,
    all: &Overview,
    view: &View<'_>,
    parts: &[&str],
    query: &Query,
    user: &str,
) -> Result<Markup, Trouble> {
    Ok(match *parts {
        [""] => page::now(view, all),
        ["jobs"] => page::jobs(view, all, query),
        ["jobs", id] => page::job(view, &source.job(id)?),
        ["runs", run] => page::run(view, &source.run(number(run)?)?),
        ["time"] => page::time(view, &*source.time()?),
        ["changes"] => page::changes(view, &source.changes()?),
        ["messages"] => page::messages(view, &source.messages()?),
        ["fleet"] if view.frame.has_fleet => page::fleet(view, &source.fleet()?),
        _ => match act(source, parts).filter(|_| view.has_actions) {
            Some(act) => page::ask(view, &act?, user),
            None => return Err(Trouble::Unknown("There is no such page.".to_owned())),
        },
    })
}

fn number(text: &str) -> Result<u64, Trouble> {
    text.parse().map_err(|_| Trouble::Unknown(format!("{} is no number of a run.", clean(text))))
}

/// What an address does, if it does anything.
fn act(source: &dyn Source, parts: &[&str]) -> Option<Result<Act, Trouble>> {
    match *parts {
        ["jobs", id, word] => {
            let verb = Verb::ALL.into_iter().find(|verb| verb.word() == word)?;
            let is_there =
                source.overview(FRAME).map(|all| all.rows.iter().any(|row| row.line.id == id));
            Some(match is_there {
                Ok(true) => Ok(Act { verb, job: id.to_owned(), run: None }),
                Ok(false) => Err(Trouble::Unknown(format!("There is no job {}.", clean(id)))),
                Err(trouble) => Err(trouble),
            })
        }
        ["runs", run, "stop"] => Some(number(run).and_then(|number| {
            let job = source.run(number)?.record.job.to_string();
            Ok(Act { verb: Verb::Stop, job, run: Some(number) })
        })),
        _ => None,
    }
}

/// Does something, or logs somebody in.
async fn write(server: &Arc<Server>, peer: &Peer, request: Request<Incoming>) -> Answer {
    let parts = parts(request.uri().path());
    if parts.first().is_some_and(|part| part == "api") {
        let mut answer = unanswered(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let is_login = parts == ["login"] && server.access.has_login();
    if !is_login && !server.access.has_actions() {
        return text(StatusCode::NOT_FOUND, "There is no such page.");
    }
    let now = clock::mono();
    let who = match (is_login, server.access.who(peer, request.headers(), now)) {
        (true, _) => None,
        // Every browser of today says where a form comes from: one that does not is no match for a
        // cookie.
        (false, Ok(who)) if who.by_cookie && !says_origin(request.headers()) => {
            return text(StatusCode::FORBIDDEN, "A browser has to say where this comes from.");
        }
        (false, Ok(who)) => Some(who),
        (false, Err(why)) => return refused(server, why, true),
    };
    let Some(form) = form(request).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "This form is too long, or takes too long.");
    };
    let Some(who) = who else {
        return match server.access.try_token(peer, form.get("token").trim(), now) {
            Ok(()) => welcome(server),
            Err(why) => refused(server, why, false),
        };
    };
    let done = server.work(move |source| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let Some(act) = act(source, &parts) else {
            return Err(Trouble::Unknown("There is no such page.".to_owned()));
        };
        let act = act?;
        let done = source.act(&act, &who.name, form.get("reason").trim())?;
        Ok((act, done))
    });
    match done.await {
        Ok((act, done)) => see(&done.map_or_else(
            || act.run.map_or_else(|| page::job_href(&act.job), |run| format!("/runs/{run}")),
            |run| format!("/runs/{run}"),
        )),
        Err(Failure::Busy) => busy(),
        Err(Failure::Trouble(trouble)) => {
            let done = server.work(move |source| {
                let all = source.overview(FRAME)?;
                let view = View { frame: &all.frame, has_actions: true };
                Ok(page::sorry(&view, "That was not done", &trouble.to_string()))
            });
            match done.await {
                Ok(markup) => html(StatusCode::CONFLICT, markup),
                Err(_) => busy(),
            }
        }
    }
}

/// Reads a form.
async fn form(request: Request<Incoming>) -> Option<Query> {
    let mut body = request.into_body();
    if body.size_hint().lower() > FORM as u64 {
        return None;
    }
    let read = async {
        let mut bytes = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
        {
            if let Ok(data) = frame.ok()?.into_data() {
                bytes.extend_from_slice(&data);
            }
            if bytes.len() > FORM {
                return None;
            }
        }
        Some(Query::parse(&String::from_utf8_lossy(&bytes)))
    };
    timeout(FORM_TIME, read).await.ok()?
}

/// Who comes by a link is let in once; all others are asked.
fn log_in(server: &Arc<Server>, query: &Query) -> Answer {
    match query.get("once") {
        "" => html(StatusCode::OK, page::login(server.access.has_login(), "")),
        code if server.access.has_login() && server.access.try_link(code, clock::mono()) => {
            welcome(server)
        }
        _ => {
            let said = "This link is good for a few minutes and for one time. Start `schedrs web` again \
                        for a new one, or type the token.";
            html(StatusCode::FORBIDDEN, page::login(server.access.has_login(), said))
        }
    }
}

fn welcome(server: &Arc<Server>) -> Answer {
    let cookie = server.access.let_in(clock::mono());
    let Some(cookie) = cookie.ok().and_then(|cookie| HeaderValue::from_str(&cookie).ok()) else {
        return busy();
    };
    let mut answer = see("/");
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
    answer
}

fn refused(server: &Arc<Server>, why: Refused, is_tool: bool) -> Answer {
    let (status, said) = match why {
        Refused::Unknown => (StatusCode::UNAUTHORIZED, ""),
        Refused::TooOften => {
            (StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens: try again in a minute.")
        }
    };
    let mut answer = match is_tool {
        true => text(status, if said.is_empty() { "This takes a token." } else { said }),
        false => html(status, page::login(server.access.has_login(), said)),
    };
    let headers = answer.headers_mut();
    match why {
        Refused::Unknown => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        Refused::TooOften => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60")),
    };
    answer
}

/// The style, the script and the icon.
fn fixed(version: &str, name: &str) -> Answer {
    let Some((content, kind)) = asset::get(name) else {
        return text(StatusCode::NOT_FOUND, "There is no such file.");
    };
    let mut answer = of_kind(StatusCode::OK, kind, content.into());
    if version == asset::version() {
        let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
        answer.headers_mut().insert(header::CACHE_CONTROL, kept);
    }
    answer
}

/// The verdict. `is_ready`: only whether it works, in a word.
async fn health(server: &Arc<Server>, is_ready: bool) -> Answer {
    let body = match server.work(|source| Ok(source.health())).await {
        Ok(body) => body,
        Err(_) => return busy(),
    };
    let word = body.get("status").and_then(Value::as_str).unwrap_or("fail");
    let status = match word {
        "fail" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    match is_ready {
        true => text(status, if status == StatusCode::OK { "ready" } else { "not ready" }),
        false => {
            let body = crate::problem::json(&body).unwrap_or_default();
            of_kind(status, "application/health+json", body.into())
        }
    }
}

async fn metrics(server: &Arc<Server>) -> Answer {
    match server.work(|source| source.metrics()).await {
        Ok(page) => {
            of_kind(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.into())
        }
        Err(Failure::Busy) => busy(),
        Err(Failure::Trouble(trouble)) => {
            text(StatusCode::SERVICE_UNAVAILABLE, &format!("{}", clean(&trouble.to_string())))
        }
    }
}

/// A stream that says whenever something has changed.
fn changes(server: &Arc<Server>) -> Answer {
    let Ok(place) = Arc::clone(&server.streams).try_acquire_owned() else { return busy() };
    let (sink, parts) = mpsc::channel(4);
    let mut turns = server.live.listen();
    tokio::spawn(async move {
        for _ in 0..STREAM {
            let part = match timeout(PING, turns.changed()).await {
                Ok(Ok(())) => "event: changed\ndata: 1\n\n",
                Ok(Err(_)) => break,
                Err(_) => ": still here\n\n",
            };
            if sink.send(Bytes::from_static(part.as_bytes())).await.is_err() {
                break;
            }
        }
        drop(place);
    });
    stream(parts)
}

/// A stream of what a run prints.
fn follow(server: &Arc<Server>, run: &str) -> Answer {
    let Ok(run) = number(run) else { return text(StatusCode::NOT_FOUND, "There is no such run.") };
    let Ok(place) = Arc::clone(&server.streams).try_acquire_owned() else { return busy() };
    let (sink, parts) = mpsc::channel::<Bytes>(32);
    let source = Arc::clone(&server.source);
    let thread = std::thread::Builder::new().name("follow".to_owned()).spawn(move || {
        let mut style = ansi::Style::default();
        let mut hear = |heard: Heard<'_>| {
            let part = match heard {
                Heard::Text { text, is_stderr } => {
                    let text = harmless(text, &mut style);
                    let said = serde_json::json!({ "text": text, "err": is_stderr });
                    format!("data: {said}\n\n")
                }
                Heard::Lost => "event: lost\ndata: 1\n\n".to_owned(),
                Heard::Nothing => ": still here\n\n".to_owned(),
                Heard::Ended => "event: ended\ndata: 1\n\n".to_owned(),
            };
            sink.blocking_send(part.into()).is_ok()
        };
        let job = source.run(run).map(|page| page.record.job);
        let done = job.and_then(|job| source.follow(&job, run, &mut hear));
        // Whether it has ended, or cannot be followed: the page is to look again.
        if done.is_err() {
            hear(Heard::Lost);
        }
        hear(Heard::Ended);
        drop(place);
    });
    match thread {
        Ok(_) => stream(parts),
        Err(_) => busy(),
    }
}

/// Lines of a run without what would act.
fn harmless(text: &str, style: &mut ansi::Style) -> String {
    let line = |line: &str, style: &mut ansi::Style| -> String {
        ansi::pieces(line, style).into_iter().map(|(_, text)| text).collect()
    };
    let lines: Vec<String> = text.split('\n').map(|one| line(one, style)).collect();
    lines.join("\n")
}

fn stream(parts: mpsc::Receiver<Bytes>) -> Answer {
    let mut answer = Response::new(Body::Stream(parts));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // nginx would keep it until it is large.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}

fn html(status: StatusCode, markup: Markup) -> Answer {
    of_kind(status, "text/html; charset=utf-8", markup.into_string().into())
}

fn text(status: StatusCode, said: &str) -> Answer {
    of_kind(status, "text/plain; charset=utf-8", format!("{said}\n").into())
}

fn of_kind(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// Elsewhere one sees what has come of it.
fn see(place: &str) -> Answer {
    let mut answer = text(StatusCode::SEE_OTHER, "");
    if let Ok(place) = HeaderValue::from_str(place) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    answer
}

fn busy() -> Answer {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, "Too much is asked at once: try again.");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
