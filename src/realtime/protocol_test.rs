//! What the official test suites of Engine.IO and Socket.IO expect of a server: see `realtime.protocol_test_profile`.

use std::sync::Arc;

use axum::extract::Request;
use bytes::Bytes;
use tracing::debug;

use super::engine::{Ending, Frame, Handler, Session};
use super::pace::Rate;
use super::packet::{Event, MAIN};
use super::sockets::{Application, Outlet};

/// Sends back what it gets, over the layer that people use.
pub(super) struct SocketIoEcho;

/// Whoever tests.
pub(super) struct Tester {
    outlet: Outlet<SocketIoEcho>,
    auth: String,
}

impl Application for SocketIoEcho {
    type Guest = Tester;
    type Origin = ();

    const NAMESPACES: &'static [&'static str] = &[MAIN, "/custom"];

    fn origin(&self, _request: &Request) {}

    fn connect(
        &self,
        outlet: Outlet<Self>,
        _origin: &(),
        auth: Option<&str>,
    ) -> Result<Arc<Tester>, String> {
        let auth = auth.unwrap_or("{}").to_owned();
        Ok(Arc::new(Tester { outlet, auth }))
    }

    fn welcome(&self, tester: &Arc<Tester>) {
        if tester.outlet.emit("auth", &tester.auth).is_err() {
            tester.outlet.give_up(None);
        }
    }

    fn expects_no_connect(&self, _origin: &()) -> bool {
        false
    }

    async fn handle(&self, tester: Arc<Tester>, event: Event) {
        let (outlet, arguments) = (&tester.outlet, event.arguments.join(","));
        let files = &event.attachments;
        let sent = match (event.name.as_str(), event.ack) {
            ("message", _) => {
                let namespace = outlet.namespace();
                let packet =
                    super::packet::event(namespace, "message-back", &arguments, files.len());
                outlet.send_with(&packet, files)
            }
            ("message-with-ack", Some(id)) => outlet.ack(id, &arguments, files),
            _ => Ok(()),
        };
        if sent.is_err() {
            outlet.give_up(None);
        }
    }

    fn rate(&self) -> Option<Rate> {
        None
    }

    fn refuse(&self, tester: &Arc<Tester>, _event: &Event) {
        tester.outlet.give_up(None);
    }

    fn disconnect(&self, _tester: Arc<Tester>) {}
}

/// Sends back what it gets, without Socket.IO.
pub(super) struct EngineIoEcho;

impl Handler for EngineIoEcho {
    type Link = ();
    type Origin = ();

    fn origin(&self, _request: &Request) {}

    fn opened(&self, _session: &Arc<Session<Self>>) {}

    fn text(&self, session: &Arc<Session<Self>>, text: &str) {
        if session.send(Frame::message(text)).is_err() {
            session.close(Ending::TooSlow);
        }
    }

    fn binary(&self, session: &Arc<Session<Self>>, bytes: Bytes) {
        if session.send(Frame::Binary(bytes)).is_err() {
            session.close(Ending::TooSlow);
        }
    }

    fn closed(&self, _session: &Arc<Session<Self>>, ending: Ending) {
        debug!(reason = ending.as_str(), "A tester is gone");
    }
}
