//! What is derived may be lost in any way, and comes back.

use super::*;

/// sled does not always say when it lost something.
#[tokio::test]
async fn a_damaged_file_costs_nobody_a_notification() {
    let mut rig = Rig::new().await;
    rig.emit((0..1_500).map(|n| match n % 3 {
        0 => liked(1_000 + n, 11 + n % 4, 5),
        1 => followed(1_000 + n, 5, 1 + n % 4),
        _ => posted(11 + n % 4, 1 + n % 4, &[5]),
    }))
    .await;
    // The last of the damage may be found only while one reads.
    let all = async |rig: &Rig| {
        let mut all = Vec::new();
        let mut user = 1;
        while user <= 5 {
            let list =
                rig.notifications
                    .list(UserId::from(user), Page::first(100), Filter::default());
            let count = rig.notifications.unread_count(UserId::from(user));
            if let (Ok(list), Ok(count)) = (list.await, count.await) {
                all.push((list.items, count));
                user += 1;
            } else {
                rig.settle().await;
                all.clear();
                user = 1;
            }
        }
        all
    };
    let before = all(&rig).await;
    for wound in 0..16 {
        rig = rig
            .restart(|dir| {
                let db = dir.join("events/db");
                let mut bytes = std::fs::read(&db).unwrap();
                let from = wound * bytes.len() / 16;
                for (i, byte) in bytes.iter_mut().enumerate().skip(from).take(700) {
                    *byte = u8::try_from(i.wrapping_mul(31) % 251).unwrap();
                }
                std::fs::write(&db, bytes).unwrap();
            })
            .await;
        assert_eq!(all(&rig).await, before, "wound {wound}");
    }
    rig.stop().await;
}

/// Nor does what was not to be told come back when it is told again, from the log or from the rows, even when the block or
/// the mute is over.
#[tokio::test]
async fn what_was_not_to_be_told_is_not_told_later() {
    let rig = Rig::new().await;
    let seqs = rig
        .emit([
            liked(31, 11, 2),
            liked(32, 11, 3),
            liked(33, 11, 4),
            liked(34, 12, 1),
            blocked(1, 2),
            muted(1, 3),
        ])
        .await;
    assert_eq!(rig.messages(1).await, ["P4 liked your post"]);
    assert_eq!((rig.unread(1).await, rig.unread(2).await), (1, 0));
    let later = START.as_millis() + 1;
    rig.execute(&[
        &format!("INSERT INTO blocks VALUES (1, 2, {}, 0, NULL)", seqs[4]),
        &format!("INSERT INTO mutes VALUES (1, 3, {}, 0, {later})", seqs[5]),
        &format!(
            "INSERT INTO reactions (id, post_id, user_id, value, created_at, event_seq)
             VALUES (31, 11, 2, 1, 1700000000000, {}), (32, 11, 3, 1, 1700000000000, {}),
                 (33, 11, 4, 1, 1700000000000, {}), (34, 12, 1, 1, 1700000000000, {})",
            seqs[0], seqs[1], seqs[2], seqs[3]
        ),
    ])
    .await;
    // While they hold.
    rig.emit([followed(51, 2, 1), followed(52, 1, 2), followed(53, 3, 1)])
        .await;
    let told = ["P4 liked your post"];
    assert_eq!(rig.messages(1).await, told);
    assert_eq!(rig.messages(2).await, [""; 0]);
    // When they are over.
    rig.execute(&[&format!("UPDATE blocks SET ended_at = {later}")])
        .await;
    rig.clock.advance(Duration::from_secs(1));
    rig.replay(1).await;
    rig.settle().await;
    assert_eq!(rig.messages(1).await, told, "from the log");
    rig.execute(&["DELETE FROM outbox"]).await;
    let rig = rig
        .restart(|dir| std::fs::remove_dir_all(dir.join("events")).unwrap())
        .await;
    assert_eq!(rig.messages(1).await, told, "from the rows");
    assert_eq!(rig.messages(2).await, [""; 0]);
    rig.emit([followed(54, 3, 1)]).await;
    assert_eq!(
        rig.messages(1).await,
        ["P3 started following you", told[0]],
        "what is done afterwards is told"
    );
    rig.stop().await;
}

/// The rows and the events tell the same, with the same ids.
#[tokio::test]
async fn what_the_log_forgot_is_told_again_from_the_rows() {
    let rig = Rig::new().await;
    let seqs = rig
        .emit([
            posted(11, 1, &[]),
            posted(12, 2, &[5]),
            commented(21, 2, None, &[]),
            commented(23, 4, Some(2), &[5]),
            liked(31, 11, 2),
            liked(32, 11, 3),
            comment_liked(41, 21, 3),
            followed(51, 3, 1),
            // No longer so when all is lost.
            liked(33, 12, 4),
            unliked(33, 12, 4),
        ])
        .await;
    let [
        own,
        named,
        comment,
        reply,
        like,
        other,
        comment_like,
        follow,
        taken,
        _,
    ] = seqs[..]
    else {
        panic!("as many as were emitted");
    };
    rig.execute(&[
        "DELETE FROM comments WHERE id IN (24)",
        "DELETE FROM comments WHERE id IN (22)",
        "DELETE FROM posts WHERE id IN (13, 14)",
        &format!("UPDATE posts SET event_seq = iif(id = 11, {own}, {named})"),
        &format!("UPDATE comments SET event_seq = iif(id = 21, {comment}, {reply})"),
        &format!(
            "INSERT INTO reactions (id, post_id, user_id, value, created_at, event_seq)
             VALUES (31, 11, 2, 1, 1700000000000, {like}), (32, 11, 3, 1, 1700000000000, {other}),
                 (33, 12, 4, 0, 1700000000000, {taken})"
        ),
        &format!("INSERT INTO comment_likes VALUES (41, 21, 3, 1, 1700000000000, {comment_like})"),
        &format!("INSERT INTO follows VALUES (51, 3, 1, 1, 0, {follow}, 1700000000000)"),
    ])
    .await;
    let user = UserId::from(1);
    let id = |seq: u64| NotificationId::from(seq.cast_signed());
    rig.notifications
        .mark_one_read(user, id(like))
        .await
        .unwrap();
    rig.notifications.remove(user, id(other)).await.unwrap();
    rig.emit([liked(34, 11, 4)]).await;
    let mut before = Vec::new();
    for user in 1..=5 {
        before.push((rig.list(user).await, rig.unread(user).await));
    }
    assert_eq!(before[0].0.len(), 6);

    rig.execute(&[&format!("DELETE FROM outbox WHERE seq <= {}", seqs[9])])
        .await;
    let rig = rig
        .restart(|dir| std::fs::remove_dir_all(dir.join("events")).unwrap())
        .await;
    for (user, before) in (1..=5).zip(before) {
        assert_eq!(
            (rig.list(user).await, rig.unread(user).await),
            before,
            "person {user}"
        );
    }
    rig.stop().await;
}
