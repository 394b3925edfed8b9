//! A small HTTP/1 server: paths in, answers out.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// What is asked.
pub type Request = hyper::Request<Incoming>;
/// What is answered to a request.
pub type Answer = Response<Full<Bytes>>;

/// JSON.
pub const JSON: &str = "application/json";
/// Plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Clients at a time. The health port is open to the network: strangers must not fill the memory.
const CLIENTS: usize = 128;
/// How long a client may take to ask. Those who ask for health do so at once, and wait for a few
/// seconds at most: that is how long strangers who say nothing may keep them from their turn.
const ASK: Duration = Duration::from_secs(1);
/// How long a client may take altogether.
const CLIENT: Duration = Duration::from_secs(30);

/// An answer with a body.
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The answer where nothing is served, in the words of Go's standard library.
pub fn not_found() -> Answer {
    answer(StatusCode::NOT_FOUND, TEXT, "404 page not found\n")
}

/// Where clients come from.
pub trait Listener {
    /// The connection to one.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// Answers requests for ever.
pub async fn serve<F>(
    listener: impl Listener,
    answers: impl Fn(&Request) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Answer> + Send,
{
    let answers = Arc::new(answers);
    let clients = Arc::new(Semaphore::new(CLIENTS));
    // The semaphore is never closed, so there always is a permit in the end.
    while let Ok(permit) = Arc::clone(&clients).acquire_owned().await {
        let stream = match listener.next().await {
            Ok(stream) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: no event says when there are some again.
                warn!("no connection accepted: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answers(&request);
                async { Ok::<_, Infallible>(answer.await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(ASK)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            match tokio::time::timeout(CLIENT, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!("a client of the HTTP server: {error}"),
                Err(_) => debug!("a client of the HTTP server took too long"),
            }
            drop(permit);
        });
    }
}
