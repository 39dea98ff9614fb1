//! The proxy.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::script::{Fault, Script};

/// Pieces that a slow answer comes in.
const PIECES: usize = 8;

/// A proxy that listens as long as it exists.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Ends the thread when it is dropped.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// A request that had a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// What happened to it.
    pub fault: Fault,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    script: Script,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    /// For each method and path: how many there were, and how many had a fault since
    /// one passed.
    of: BTreeMap<(String, String), (u64, u64)>,
    faults: Vec<Entry>,
}

type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;

impl Proxy {
    /// Starts a proxy before a service.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(upstream: SocketAddr, script: Script) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            script,
            seen: Mutex::default(),
        });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = shared.clone();
        std::thread::spawn(move || -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                tokio::select! {
                    served = serve(listener, serving) => served,
                    _ = stopped => Ok(()),
                }
            })
        });
        Ok(Self {
            address,
            shared,
            _stop: stop,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests came, and how many had each fault.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let seen = self.shared.seen();
        let mut counts = BTreeMap::from([("requests", seen.requests)]);
        for entry in &seen.faults {
            *counts.entry(entry.fault.name()).or_default() += 1;
        }
        counts
    }

    /// All that happened, in order.
    #[must_use]
    pub fn faults(&self) -> Vec<Entry> {
        self.shared.seen().faults.clone()
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that is closed is reset: nobody takes that for an end.
        stream.set_zero_linger()?;
        let shared = shared.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| shared.clone().answer(request));
            let connection = hyper::server::conn::http1::Builder::new();
            // It breaks where a fault breaks it.
            let _ = connection
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what happens to a request.
    fn decide(&self, request: &Request<Incoming>) -> Option<Fault> {
        let method = request.method().to_string();
        let path = request.uri().to_string();
        let mut seen = self.seen();
        seen.requests += 1;
        let (before, in_a_row) = seen.of.entry((method.clone(), path.clone())).or_default();
        let fault = self.script.fault(&method, &path, *before, *in_a_row);
        *before += 1;
        *in_a_row = if fault.is_some() { *in_a_row + 1 } else { 0 };
        if let Some(fault) = fault {
            seen.faults.push(Entry {
                method,
                path,
                fault,
            });
        }
        fault
    }

    async fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
        let fault = self.decide(&request);
        let is_object = request.method() == Method::GET
            && !request.uri().path().ends_with('/')
            && request.uri().query().is_none();
        match fault {
            Some(Fault::Status(status)) => return refuse(request, status).await,
            Some(Fault::Reset) => return Err(broken()),
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            Some(Fault::IgnoreCondition) => {
                request.headers_mut().remove(IF_NONE_MATCH);
                request.headers_mut().remove(IF_MATCH);
            }
            _ => {}
        }
        let (parts, bytes) = self.forward(request).await?;
        let whole = |bytes: Bytes| Full::new(bytes).map_err(|never| match never {}).boxed();
        let body = match fault {
            Some(Fault::AppliedThenReset) => return Err(broken()),
            Some(Fault::FlipBit) if is_object && parts.status.is_success() => whole(flip(bytes)),
            Some(Fault::Truncate) if bytes.len() > 1 => pieces(bytes, None, true),
            Some(Fault::Slow(pause)) => pieces(bytes, Some(pause), false),
            _ => whole(bytes),
        };
        Ok(Response::from_parts(parts, body))
    }

    /// Passes a request on, and gives the whole answer.
    async fn forward(
        &self,
        request: Request<Incoming>,
    ) -> io::Result<(hyper::http::response::Parts, Bytes)> {
        let stream = TcpStream::connect(self.upstream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let request = Request::from_parts(parts, Full::new(body));
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let (mut parts, body) = answer.into_parts();
        let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
        // The body is whole here, whatever it came in.
        parts
            .headers
            .remove(HeaderName::from_static("transfer-encoding"));
        parts.headers.remove(HeaderName::from_static("connection"));
        Ok((parts, bytes))
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Answers without the service; the request is read, so that the answer is, too.
async fn refuse(request: Request<Incoming>, status: u16) -> io::Result<Response<Body>> {
    request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?;
    let body = Full::new(Bytes::from_static(b"a fault")).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
    Ok(response)
}

fn flip(bytes: Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

/// A body in pieces, which may break in the middle.
fn pieces(bytes: Bytes, pause: Option<Duration>, breaks: bool) -> Body {
    let size = bytes.len().div_ceil(PIECES).max(1);
    let mut pieces: Vec<io::Result<Bytes>> = (0..bytes.len())
        .step_by(size)
        .map(|start| Ok(bytes.slice(start..(start + size).min(bytes.len()))))
        .collect();
    if breaks {
        pieces.truncate(pieces.len() / 2);
        pieces.push(Err(broken()));
    }
    let (send, receive) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for piece in pieces {
            tokio::time::sleep(pause.unwrap_or_default()).await;
            if send.send(piece.map(Frame::data)).await.is_err() {
                return;
            }
        }
    });
    BodyExt::boxed(StreamBody::new(Receiver(receive)))
}

/// What comes through a channel, as a stream.
struct Receiver(tokio::sync::mpsc::Receiver<io::Result<Frame<Bytes>>>);

impl futures_core::Stream for Receiver {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
