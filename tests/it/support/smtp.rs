//! A mail server (RFC 5321) that takes every message and keeps it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use socialhub::config::{Mail, SmtpTls};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A message as it was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) to: String,
    pub(crate) text: String,
    /// Whether recipient and text came over TLS.
    pub(crate) is_secured: bool,
    /// What the client logged in with, in SMTP's own form.
    pub(crate) login: Option<String>,
}

type Messages = Arc<Mutex<Vec<Taken>>>;

/// The running mail server; gone when dropped.
pub(crate) struct MailServer {
    port: u16,
    tls: SmtpTls,
    certificate: PathBuf,
    messages: Messages,
    _connections: JoinSet<()>,
}

impl MailServer {
    /// Listens; the certificate for `localhost` is put into `dir`.
    pub(crate) async fn start(tls: SmtpTls, dir: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = dir.join("mail-server.pem");
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let messages = Messages::default();
        let mut connections = JoinSet::new();
        let kept = Arc::clone(&messages);
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, tls, acceptor.clone(), Arc::clone(&kept)));
            }
        });
        Self {
            port,
            tls,
            certificate,
            messages,
            _connections: connections,
        }
    }

    /// The settings of a server that sends its mail here.
    pub(crate) fn settings(&self) -> Mail {
        Mail {
            smtp_host: Some("localhost".to_owned()),
            smtp_port: self.port,
            smtp_tls: self.tls,
            smtp_ca_file: Some(self.certificate.clone()),
            ..Mail::default()
        }
    }

    /// What was taken so far.
    pub(crate) fn messages(&self) -> Vec<Taken> {
        self.messages.lock().unwrap().clone()
    }

    /// The first message to an address with these words in its subject; waits for it.
    pub(crate) async fn message_for(&self, email: &str, subject: &str) -> Taken {
        super::eventually("a message at the mail server", || async {
            self.messages().into_iter().find(|message| {
                message.to == email && message.text.contains(&format!("Subject: {subject}"))
            })
        })
        .await
    }
}

impl Taken {
    /// The six digits in it.
    pub(crate) fn code(&self) -> String {
        let (_, body) = self.text.split_once("\r\n\r\n").unwrap();
        let mut digits = body.split(|c: char| !c.is_ascii_digit());
        digits.find(|run| run.len() == 6).unwrap().to_owned()
    }
}

async fn serve(stream: TcpStream, tls: SmtpTls, acceptor: TlsAcceptor, messages: Messages) {
    let mut stream = stream;
    if tls != SmtpTls::Implicit {
        let offers_tls = tls == SmtpTls::Starttls;
        let plain = BufStream::new(stream);
        match converse(plain, &messages, false, offers_tls, true).await {
            Some(asked_for_tls) => stream = asked_for_tls.into_inner(),
            None => return,
        }
    }
    // A client that does not trust the certificate hangs up here.
    if let Ok(secured) = acceptor.accept(stream).await {
        let greets = tls == SmtpTls::Implicit;
        converse(BufStream::new(secured), &messages, true, false, greets).await;
    }
}

/// Speaks until the client quits, or (then the stream is given back) until it asks for TLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufStream<S>,
    messages: &Messages,
    is_secured: bool,
    offers_tls: bool,
    greets: bool,
) -> Option<BufStream<S>> {
    if greets {
        say(&mut stream, "220 localhost ready").await?;
    }
    let (mut to, mut login) = (String::new(), None);
    loop {
        let line = hear(&mut stream).await?;
        let verb = line.split(' ').next()?.to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" if offers_tls => "250-localhost\r\n250 STARTTLS",
            "EHLO" => "250-localhost\r\n250 AUTH PLAIN LOGIN",
            "STARTTLS" if offers_tls => {
                say(&mut stream, "220 go on").await?;
                return Some(stream);
            }
            "AUTH" => {
                login = Some(line);
                "235 welcome"
            }
            "RCPT" => {
                to = line.split(['<', '>']).nth(1)?.to_owned();
                "250 ok"
            }
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                let mut text = String::new();
                loop {
                    let line = hear(&mut stream).await?;
                    if line == "." {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    text.push_str("\r\n");
                }
                messages.lock().ok()?.push(Taken {
                    to: std::mem::take(&mut to),
                    text,
                    is_secured,
                    login: login.clone(),
                });
                "250 taken"
            }
            "QUIT" => {
                say(&mut stream, "221 bye").await?;
                return None;
            }
            _ => "250 ok",
        };
        say(&mut stream, answer).await?;
    }
}

async fn say<S: AsyncWrite + AsyncRead + Unpin>(
    stream: &mut BufStream<S>,
    line: &str,
) -> Option<()> {
    stream.write_all(line.as_bytes()).await.ok()?;
    stream.write_all(b"\r\n").await.ok()?;
    stream.flush().await.ok()
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>) -> Option<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    Some(line.trim_end_matches(['\r', '\n']).to_owned())
}
