//! One's own sockets (contract, section 7).

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use crate::chat::{Chat, Connection};
use crate::gateway::Caller;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new().routes(routes!(socket_info))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct SocketInfoReply {
    #[schema(example = true)]
    success: bool,
    /// How many there are.
    total_connections: usize,
    /// The oldest first.
    connections: Vec<Connection>,
}

/// One's own connections
///
/// To this node, and to chat; where others are is their business.
#[utoipa::path(
    get, path = "/api/v1/chat/socket-info", tag = "chat", security(("token" = [])),
    responses((status = 200, description = "Those that there are just now.", body = SocketInfoReply))
)]
async fn socket_info(State(chat): State<Chat>, caller: Caller) -> Json<SocketInfoReply> {
    let connections = chat.connections().of(caller.id());
    Json(SocketInfoReply {
        success: true,
        total_connections: connections.len(),
        connections,
    })
}
