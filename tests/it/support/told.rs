//! What people should have been told, by the events in the database alone, and whether they were.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;
use serde_json::Value;

use super::{Person, eventually};

/// Waits until the notifications have taken in every event.
pub(crate) async fn settle(admin: &Person, connection: &Connection) {
    let newest = connection
        .query_row("SELECT MAX(seq) FROM outbox", [], |row| {
            row.get::<_, u64>(0)
        })
        .unwrap();
    eventually("the notifications caught up", || async {
        let reply = admin.get("/api/v1/admin/events").await;
        if reply.json()["code"] == "repairing" {
            return None; // It opens beside the server's start.
        }
        let events = reply.expect(200);
        let consumer = &events["consumers"][0];
        assert_eq!(consumer["dead_letters"], 0, "{consumer}");
        (consumer["position"].as_u64()? >= newest).then_some(())
    })
    .await;
}

/// The sequences of what each person should have been told and not taken back, newest first. Mentions, answers and likes
/// of comments are not looked at.
pub(crate) fn told(connection: &Connection) -> HashMap<String, Vec<String>> {
    /// A notification: who has it, what it is about, the post.
    struct Entry {
        person: String,
        about: String,
        post: String,
    }
    let mut entries: BTreeMap<u64, Entry> = BTreeMap::new();
    let mut statement = connection
        .prepare("SELECT seq, envelope FROM outbox ORDER BY seq")
        .unwrap();
    let rows = statement
        .query_map([], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?))
        })
        .unwrap();
    for row in rows {
        let (seq, envelope) = row.unwrap();
        let event: Value = serde_json::from_str(&envelope).unwrap();
        let data = &event["data"];
        let mut tell = |person: &Value, about: &Value| {
            let entry = Entry {
                person: text(person),
                about: text(about),
                post: data["postId"].as_str().unwrap_or_default().to_owned(),
            };
            if data["authorId"] != *person || event["eventType"] == "post.created" {
                entries.insert(seq, entry);
            }
        };
        match event["eventType"].as_str().unwrap() {
            "post.created" => tell(&data["authorId"], &data["postId"]),
            "comment.created" => tell(&data["recipientId"], &data["commentId"]),
            "like.created" => tell(&data["recipientId"], &data["likeId"]),
            "follow.created" => tell(&data["followingId"], &data["followId"]),
            "like.removed" => entries.retain(|_, entry| entry.about != data["likeId"]),
            "unfollow.created" => entries.retain(|_, entry| entry.about != data["followId"]),
            "post.deleted" => entries.retain(|_, entry| entry.post != data["postId"]),
            _ => {}
        }
    }
    let mut told: HashMap<String, Vec<String>> = HashMap::new();
    for (seq, entry) in entries.into_iter().rev() {
        told.entry(entry.person).or_default().push(seq.to_string());
    }
    told
}

/// Fails unless somebody was told this, and nothing twice.
pub(crate) async fn assert_told_once(person: &Person, told: &HashMap<String, Vec<String>>) {
    let mut seen = Vec::new();
    let mut path = "/api/v1/notifications?limit=100".to_owned();
    loop {
        let page = person.get(&path).await.expect(200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| text(&one["id"])),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/notifications?limit=100&cursor={cursor}"),
            None => break,
        }
    }
    let expected = told.get(&person.id).cloned().unwrap_or_default();
    assert_eq!(seen, expected, "what {} was told", person.username);
    let unread = person
        .get("/api/v1/notifications/unread/count")
        .await
        .expect(200);
    assert_eq!(unread["count"], expected.len(), "{}", person.username);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
