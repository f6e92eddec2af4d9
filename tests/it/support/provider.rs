//! A provider of language models that the tests play: it speaks both protocols, keeps what it is asked, and answers as it is
//! told.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use socialhub::config::{Assist, AssistProvider};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// The key that it wants to see.
pub(crate) const KEY: &str = "key-Of-the-Provider";

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    /// As the protocol has it, with this text, for 100 tokens asked and 20 answered.
    Says(String),
    /// This JSON, with status 200.
    Json(Value),
    /// This status, these headers and this body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Not at all.
    Silence,
    /// The beginning of an answer, and no more.
    Stalls,
    /// So many bytes.
    Floods(usize),
}

/// What it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// The running provider; gone when dropped.
pub(crate) struct Provider {
    address: SocketAddr,
    scheme: &'static str,
    stage: Arc<Stage>,
    _serving: JoinSet<()>,
}

struct Stage {
    play: Mutex<Play>,
    asked: Mutex<Vec<Asked>>,
    under_way: AtomicUsize,
}

/// Counts a call while it is under way: also one that is given up.
struct UnderWay(Arc<Stage>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::listen(None).await
    }

    /// With TLS, and a certificate that only the file of this name makes good.
    pub(crate) async fn start_secure(certificate: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(certificate, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stage = Arc::new(Stage {
            play: Mutex::new(Play::Says("A fine text.".to_owned())),
            asked: Mutex::default(),
            under_way: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&stage));
        let mut serving = JoinSet::new();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        serving.spawn(async move {
            match acceptor {
                None => axum::serve(listener, routes).await.unwrap(),
                Some(acceptor) => {
                    let listener = Secure { listener, acceptor };
                    axum::serve(listener, routes).await.unwrap();
                }
            }
        });
        Self {
            address,
            scheme,
            stage,
            _serving: serving,
        }
    }

    /// How a server is told to ask it as Gemini.
    pub(crate) fn gemini(&self) -> Assist {
        Assist {
            provider: AssistProvider::Gemini,
            base_url: Some(format!("{}://{}/v1beta", self.scheme, self.address)),
            api_key: Some(KEY.to_owned()),
            ..Assist::default()
        }
    }

    /// How a server is told to ask it as it would OpenAI.
    pub(crate) fn openai(&self) -> Assist {
        Assist {
            provider: AssistProvider::OpenAi,
            base_url: Some(format!("{}://{}/v1/", self.scheme, self.address)),
            model: Some("qwen2.5:7b".to_owned()),
            api_key: Some(KEY.to_owned()),
            ..Assist::default()
        }
    }

    /// From now on it answers so.
    pub(crate) fn plays(&self, play: Play) {
        *self.stage.play.lock().unwrap() = play;
    }

    /// Takes what it was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.stage.asked.lock().unwrap())
    }

    /// How many wait for an answer.
    pub(crate) fn under_way(&self) -> usize {
        self.stage.under_way.load(Ordering::SeqCst)
    }
}

struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // Who does not trust the certificate goes away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn answer(State(stage): State<Arc<Stage>>, request: Request<Body>) -> Response<Body> {
    stage.under_way.fetch_add(1, Ordering::SeqCst);
    let under_way = UnderWay(Arc::clone(&stage));
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.uri.to_string();
    stage.asked.lock().unwrap().push(Asked {
        target: target.clone(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let play = stage.play.lock().unwrap().clone();
    match play {
        Play::Says(text) => Response::new(said(&target, &text).to_string().into()),
        Play::Json(json) => Response::new(json.to_string().into()),
        Play::Status(status, headers, body) => {
            let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(body.into()).unwrap()
        }
        Play::Silence => std::future::pending().await,
        Play::Stalls => {
            let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from("{"))]);
            let rest = start.chain(stream::pending());
            // Under way as long as somebody reads it.
            Response::new(Body::from_stream(rest.map(move |piece| {
                let _under_way = &under_way;
                piece
            })))
        }
        Play::Floods(bytes) => Response::new(vec![b' '; bytes].into()),
    }
}

/// A usual answer in the protocol that the address is of.
fn said(target: &str, text: &str) -> Value {
    if target.ends_with(":generateContent") {
        json!({
            "candidates": [{
                "content": { "role": "model", "parts": [{ "text": text }] },
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": { "promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120 },
            "modelVersion": "gemini-2.5-flash",
        })
    } else {
        json!({
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "qwen2.5:7b",
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": text },
                "finish_reason": "stop",
            }],
            "usage": { "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120 },
        })
    }
}
