//! One HTTP request: who asks, for what, whether to misbehave, whether it is allowed, the answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};

use crate::access::{self, User};
use crate::error::Refusal;
use crate::fault::Action;
use crate::object::Form;
use crate::record::Recorded;
use crate::request::{Query, Target, Verb};
use crate::shared::{CutOff, Shared};
use crate::watch::Watch;
use crate::{admin, discovery, list, verbs};

type Body = UnsyncBoxBody<Bytes, CutOff>;

/// Answers a request, or ends its connection.
pub async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, CutOff> {
    let path = request.uri().path().to_owned();
    if let Some(path) = path.strip_prefix("/admin/") {
        let path = path.to_owned();
        return Ok(match admin::answer(&shared, &path, request).await {
            Ok(json) => respond(200, json),
            Err(refusal) => refuse(&refusal),
        });
    }
    let Some(target) = Target::parse(&path) else {
        return Ok(match discovery::document(&path) {
            Some(document) => respond(200, document),
            None => refuse(&Refusal::no_such_resource()),
        });
    };
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let verb = target.and_then(|target| Ok((target.verb(request.method(), &query)?, target)));
    let (verb, mut target) = match verb {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refuse(&refusal)),
    };
    let user = identify(&shared, &request);
    let mut recorded = record(&request, user.as_ref(), verb, &target, &query);

    let action = shared.state().faults.take(&recorded);
    let refused = match action {
        None => None,
        Some(Action::Refuse { code, retry_after }) => {
            let refusal = Refusal::new(code, "refused on command");
            Some(Refusal {
                retry_after,
                ..refusal
            })
        }
        Some(Action::DelayMillis(millis)) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            None
        }
        Some(action @ (Action::Hang | Action::Drop)) => {
            shared.state().requests.push(recorded);
            if action == Action::Hang {
                std::future::pending::<Infallible>().await;
            }
            return Err(CutOff);
        }
    };
    // RBAC sees the one object that a metadata.name selector asks for.
    if !recorded.name.is_empty() {
        target.name.get_or_insert_with(|| recorded.name.clone());
    }
    let answer = match refused {
        Some(refusal) => Err(refusal),
        None => match allow(&shared, user, verb, &target) {
            Ok(()) => perform(&shared, verb, target, &query, request).await,
            Err(refusal) => Err(refusal),
        },
    };
    let response = answer.unwrap_or_else(|refusal| refuse(&refusal));
    recorded.status = Some(response.status().as_u16());
    shared.state().requests.push(recorded);
    Ok(response)
}

/// Whose token a request carries; `None` for a token that nobody has.
fn identify(shared: &Shared, request: &Request<Incoming>) -> Option<User> {
    let state = shared.state();
    match request.headers().get(AUTHORIZATION) {
        None => Some(state.config.without_token.clone()),
        Some(header) => {
            let token = header.to_str().ok()?.strip_prefix("Bearer ")?;
            state.tokens.get(token).cloned()
        }
    }
}

fn record(
    request: &Request<Incoming>,
    user: Option<&User>,
    verb: Verb,
    target: &Target,
    query: &Query,
) -> Recorded {
    let selected = || Some(query.filter(None).ok()?.name()?.to_owned());
    Recorded {
        user: user.map(|user| user.name.clone()).unwrap_or_default(),
        verb: verb.as_str().to_owned(),
        group: target.kind.group.to_owned(),
        resource: target.resource().into_owned(),
        namespace: target.namespace.clone().unwrap_or_default(),
        name: target.name.clone().or_else(selected).unwrap_or_default(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        status: None,
    }
}

fn allow(shared: &Shared, user: Option<User>, verb: Verb, target: &Target) -> Result<(), Refusal> {
    let mut state = shared.state();
    if !state.config.rbac {
        return Ok(());
    }
    let user = user.ok_or_else(|| Refusal::new(401, "Unauthorized"))?;
    access::authorise(&mut state.store, &user, verb.as_str(), target)
}

async fn perform(
    shared: &Arc<Shared>,
    verb: Verb,
    target: Target,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let form = form(&request);
    match verb {
        Verb::List => {
            let filter = query.filter(target.namespace)?;
            let page = list::page(&mut shared.state().store, target.kind, &filter, query)?;
            Ok(respond(200, page.json(target.kind, form)))
        }
        Verb::Watch => {
            let filter = query.filter(target.namespace)?;
            let mut state = shared.state();
            let watch = Watch::start(shared, &mut state, target.kind, filter, query, form)?;
            Ok(json(
                200,
                StreamBody::new(watch.into_stream()).boxed_unsync(),
            ))
        }
        _ => {
            let content_type = request.headers().get(CONTENT_TYPE).cloned();
            let body = request.into_body().collect().await;
            let body = body
                .map_err(|error| Refusal::new(400, error.to_string()))?
                .to_bytes();
            let content = verbs::Content {
                body,
                media_type: content_type,
            };
            let (code, json) = verbs::perform(
                &mut shared.state().store,
                verb,
                &target,
                query,
                &content,
                form,
            )?;
            Ok(respond(code, json))
        }
    }
}

/// The first representation in the Accept header that is served. Tables are not: `kubectl` then
/// makes its own from the objects.
fn form(request: &Request<Incoming>) -> Form {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let mut kinds = accept
        .unwrap_or_default()
        .split(',')
        .filter(|kind| !kind.contains("as=Table"));
    match kinds.next() {
        Some(kind) if kind.contains("as=PartialObjectMetadata") => Form::Metadata,
        _ => Form::Full,
    }
}

fn json(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn respond(code: u16, body: Bytes) -> Response<Body> {
    json(
        code,
        Full::new(body)
            .map_err(|never| match never {})
            .boxed_unsync(),
    )
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let mut response = respond(refusal.code, refusal.status().to_string().into());
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}
