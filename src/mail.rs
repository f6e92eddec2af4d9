//! Outgoing mail: by SMTP when configured, else as `.eml` files in the data directory, for its owner alone to read.
//!
//! Messages carry codes, so they are kept in memory only and never logged. A message that is lost with the process is
//! asked for again by its person.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use metrics::counter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{self, SmtpTls};
use crate::datadir::write_private;
use crate::random;
use crate::tasks::Tasks;

/// The directory of unsent messages when no SMTP server is configured.
pub const OUTBOX: &str = "outbox";

/// How often a message is offered to the SMTP server.
const ATTEMPTS: u32 = 3;

/// A plain-text message.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The recipient's address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// Takes messages; cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailer {
    queue: mpsc::Sender<Letter>,
    by_smtp: bool,
}

enum Transport {
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    Outbox(PathBuf),
}

impl Mailer {
    /// Starts the task that sends; must run inside the runtime. `tasks` have to stop after those who hand messages over,
    /// so that what these still had to say is sent.
    pub fn start(options: &config::Mail, data_dir: &Path, tasks: &Tasks) -> Result<Self> {
        let transport = transport(options, data_dir)?;
        let by_smtp = matches!(transport, Transport::Smtp(_));
        let from: Mailbox = options
            .from
            .parse()
            .context("mail.from is not an e-mail address")?;
        let (queue, mut letters) = mpsc::channel::<Letter>(options.queue_capacity.max(1) as usize);
        let stopping = tasks.stopping().clone();
        tasks.spawn("mail", async move {
            loop {
                let letter = tokio::select! {
                    letter = letters.recv() => letter,
                    () = stopping.cancelled() => letters.try_recv().ok(),
                };
                let Some(letter) = letter else { break };
                match send(&transport, &from, &letter, &stopping).await {
                    Ok(()) => counter!("socialhub_mail_sent_total").increment(1),
                    Err(error) => {
                        counter!("socialhub_mail_failed_total").increment(1);
                        warn!(error = format!("{error:#}"), "A message could not be sent");
                    }
                }
            }
        });
        Ok(Self { queue, by_smtp })
    }

    /// Whether messages leave this machine.
    pub fn is_by_smtp(&self) -> bool {
        self.by_smtp
    }

    /// Hands a message over; it is sent in the background.
    pub fn send(&self, letter: Letter) {
        if self.queue.try_send(letter).is_err() {
            counter!("socialhub_mail_dropped_total").increment(1);
            warn!("A message was dropped: too many wait to be sent");
        }
    }
}

fn transport(options: &config::Mail, data_dir: &Path) -> Result<Transport> {
    let Some(host) = &options.smtp_host else {
        return Ok(Transport::Outbox(data_dir.join(OUTBOX)));
    };
    let parameters = || -> Result<TlsParameters> {
        let mut tls = TlsParameters::builder(host.clone());
        if let Some(path) = &options.smtp_ca_file {
            let pem = std::fs::read(path)
                .with_context(|| format!("cannot read mail.smtp_ca_file {}", path.display()))?;
            tls = tls.add_root_certificate(
                Certificate::from_pem(&pem).context("mail.smtp_ca_file is not a certificate")?,
            );
        }
        tls.build_rustls().context("TLS for mail cannot be set up")
    };
    let (tls, usual_port) = match options.smtp_tls {
        SmtpTls::Starttls => (Tls::Required(parameters()?), 587),
        SmtpTls::Implicit => (Tls::Wrapper(parameters()?), 465),
        SmtpTls::None => (Tls::None, 25),
    };
    let port = if options.smtp_port == 0 {
        usual_port
    } else {
        options.smtp_port
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .tls(tls)
        .timeout(Some(Duration::from_secs(15)));
    if let (Some(name), Some(password)) = (&options.smtp_username, &options.smtp_password) {
        builder = builder.credentials(Credentials::new(name.clone(), password.clone()));
    }
    Ok(Transport::Smtp(Box::new(builder.build())))
}

async fn send(
    transport: &Transport,
    from: &Mailbox,
    letter: &Letter,
    stopping: &CancellationToken,
) -> Result<()> {
    let message = Message::builder()
        .from(from.clone())
        .to(letter
            .to
            .parse()
            .context("the recipient is not an e-mail address")?)
        .subject(letter.subject.clone())
        .message_id(None)
        .header(ContentType::TEXT_PLAIN)
        .body(letter.text.clone())?;
    match transport {
        Transport::Smtp(smtp) => offer(smtp, message, stopping).await,
        Transport::Outbox(dir) => {
            let dir = dir.clone();
            let bytes = message.formatted();
            tokio::task::spawn_blocking(move || put_into_outbox(&dir, &bytes)).await?
        }
    }
}

async fn offer(
    smtp: &AsyncSmtpTransport<Tokio1Executor>,
    message: Message,
    stopping: &CancellationToken,
) -> Result<()> {
    let mut pause = Duration::from_millis(500);
    for attempt in 1.. {
        match smtp.send(message.clone()).await {
            Ok(_) => break,
            // "Permanent" is the server's last word.
            Err(error)
                if error.is_permanent() || attempt == ATTEMPTS || stopping.is_cancelled() =>
            {
                bail!("{}", class(&error))
            }
            Err(error) => {
                info!(
                    error = class(&error),
                    attempt, "The mail server did not take a message; trying again"
                );
                // When the process stops, the next attempt is the last, and at once.
                tokio::time::timeout(pause, stopping.cancelled()).await.ok();
                pause *= 4;
            }
        }
    }
    Ok(())
}

/// What an error is, for the log: never the server's own words, which usually quote the recipient's address.
fn class(error: &smtp::Error) -> String {
    let class = if error.is_permanent() {
        "permanent"
    } else if error.is_transient() {
        "transient"
    } else if error.is_timeout() {
        "timeout"
    } else if error.is_tls() {
        "tls"
    } else if error.is_response() {
        "response"
    } else if error.is_client() {
        "client"
    } else {
        "connection"
    };
    match error.status() {
        Some(code) => format!("smtp {class} {code}"),
        None => format!("smtp {class}"),
    }
}

fn put_into_outbox(dir: &Path, message: &[u8]) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    write_private(&dir.join(format!("{}.eml", random::token()?)), message)
}
