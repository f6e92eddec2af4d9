//! What each person finds, after people followed, blocked, wrote, hid, removed, joined and left at random: what a plain
//! model says, and never more, at whatever moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::{Person, Server};

const PEOPLE: usize = 5;
const ROOMS: usize = 3;
const STEPS: u32 = 240;
/// How often all is compared on the way.
const LOOKS: u32 = 3;
/// A word that everything has.
const COMMON: &str = "common";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visibility {
    Public,
    Followers,
    Private,
}

impl Visibility {
    fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Followers => "followers",
            Self::Private => "private",
        }
    }
}

struct Post {
    author: usize,
    visibility: Visibility,
    is_deleted: bool,
}

struct Comment {
    post: String,
    author: usize,
    is_deleted: bool,
}

/// A room by its number, or the conversation of two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Room(usize),
    Pair(usize, usize),
}

struct Message {
    place: Place,
    author: usize,
    is_deleted: bool,
}

#[derive(Default)]
struct Model {
    follows: BTreeSet<(usize, usize)>,
    blocks: BTreeSet<(usize, usize)>,
    /// Room and person.
    members: BTreeSet<(usize, usize)>,
    suspended: BTreeSet<usize>,
    posts: BTreeMap<String, Post>,
    comments: BTreeMap<String, Comment>,
    messages: BTreeMap<String, Message>,
}

impl Model {
    fn are_apart(&self, one: usize, other: usize) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    fn sees_post(&self, viewer: usize, post: &Post) -> bool {
        let is_for_viewer = match post.visibility {
            Visibility::Public => true,
            Visibility::Followers => self.follows.contains(&(viewer, post.author)),
            Visibility::Private => false,
        };
        !post.is_deleted
            && (viewer == post.author || is_for_viewer && !self.are_apart(viewer, post.author))
    }

    /// The tags of public posts that somebody sees, and of their own, with how many such posts each has.
    fn public_tags(&self, viewer: usize) -> BTreeSet<String> {
        let mut tags: BTreeMap<String, usize> = BTreeMap::new();
        for post in self.posts.values().filter(|post| {
            self.sees_post(viewer, post)
                && (post.author == viewer || post.visibility == Visibility::Public)
        }) {
            *tags.entry(tag_of(post.author)).or_default() += 1;
        }
        tags.into_iter()
            .map(|(tag, n)| format!("{tag}:{n}"))
            .collect()
    }

    fn sees_comment(&self, viewer: usize, comment: &Comment) -> bool {
        !comment.is_deleted
            && !self.are_apart(viewer, comment.author)
            && self.sees_post(viewer, &self.posts[&comment.post])
    }

    fn reads(&self, viewer: usize, message: &Message) -> bool {
        let is_there = match message.place {
            Place::Room(room) => self.members.contains(&(room, viewer)),
            Place::Pair(one, other) => {
                (viewer == one || viewer == other) && !self.are_apart(one, other)
            }
        };
        is_there && !message.is_deleted && !self.are_apart(viewer, message.author)
    }

    /// What somebody may find, by section: the ids, and of tags how many posts each has.
    fn visible(
        &self,
        viewer: usize,
        people: &[Person],
    ) -> BTreeMap<&'static str, BTreeSet<String>> {
        let posts = self.posts.iter();
        let posts = posts.filter(|(_, post)| self.sees_post(viewer, post));
        let posts: BTreeSet<String> = posts.map(|(id, _)| id.clone()).collect();
        let mut tags: BTreeMap<String, usize> = BTreeMap::new();
        for id in &posts {
            *tags.entry(tag_of(self.posts[id].author)).or_default() += 1;
        }
        let comments = self.comments.iter();
        let comments = comments.filter(|(_, one)| self.sees_comment(viewer, one));
        let messages = self.messages.iter();
        let messages = messages.filter(|(_, one)| self.reads(viewer, one));
        let there = (0..PEOPLE)
            .filter(|one| !self.suspended.contains(one) && !self.are_apart(viewer, *one));
        BTreeMap::from([
            ("posts", posts),
            ("comments", comments.map(|(id, _)| id.clone()).collect()),
            ("messages", messages.map(|(id, _)| id.clone()).collect()),
            ("people", there.map(|one| people[one].id.clone()).collect()),
            (
                "tags",
                tags.into_iter()
                    .map(|(tag, n)| format!("{tag}:{n}"))
                    .collect(),
            ),
        ])
    }
}

fn tag_of(author: usize) -> String {
    format!("common{author}")
}

struct World {
    server: Server,
    people: Vec<Person>,
    admin: Person,
    dice: Dice,
    model: Model,
    written: usize,
}

impl World {
    async fn step(&mut self) {
        let (one, other) = (self.somebody(), self.somebody());
        match self.dice.below(24) {
            0..3 => self.relate(one, other, "follow", true).await,
            3 => self.relate(one, other, "follow", false).await,
            4 => self.relate(one, other, "block", true).await,
            5 | 6 => self.relate(one, other, "block", false).await,
            7..10 => self.write(one).await,
            10 | 11 => self.show_otherwise().await,
            12 => self.remove_post().await,
            13..15 => self.comment(one).await,
            15 => self.remove_comment().await,
            16 => self.join(one).await,
            17 => self.leave(one).await,
            18..20 => self.say(one).await,
            20 => self.whisper(one, other).await,
            21 => self.remove_message().await,
            22 => self.rename(one).await,
            _ => self.suspend(one).await,
        }
    }

    fn somebody(&mut self) -> usize {
        usize::try_from(self.dice.below(PEOPLE as u64)).unwrap()
    }

    fn text(&mut self) -> String {
        self.written += 1;
        // Of a few lengths, and each with a word of its own.
        format!(
            "{COMMON} word{} {}",
            self.written,
            "filler ".repeat(self.written % 4)
        )
    }

    async fn relate(&mut self, one: usize, other: usize, what: &str, begins: bool) {
        if one == other || self.model.suspended.contains(&one) {
            return;
        }
        let id = &self.people[other].id;
        let path = match (what, begins) {
            ("follow", true) => format!("/users/follow/{id}"),
            ("follow", false) => format!("/users/unfollow/{id}"),
            _ => format!("/users/{id}/{what}"),
        };
        let person = &self.people[one];
        let reply = if begins {
            person.post(&path, json!({})).await
        } else {
            person.delete(&path).await
        };
        if reply.status != 200 {
            return;
        }
        let pair = (one, other);
        let pairs = match what {
            "follow" => &mut self.model.follows,
            _ => &mut self.model.blocks,
        };
        if begins {
            pairs.insert(pair);
        } else {
            pairs.remove(&pair);
        }
        if what == "block" && begins {
            self.model.follows.remove(&pair);
            self.model.follows.remove(&(other, one));
        }
    }

    fn is_away(&self, person: usize) -> bool {
        self.model.suspended.contains(&person)
    }

    fn some_visibility(&mut self) -> Visibility {
        self.dice.one_of(&[
            Visibility::Public,
            Visibility::Public,
            Visibility::Followers,
            Visibility::Private,
        ])
    }

    async fn write(&mut self, author: usize) {
        if self.is_away(author) {
            return;
        }
        let visibility = self.some_visibility();
        let text = format!("{} #{}", self.text(), tag_of(author));
        let id = self.people[author]
            .write_for(&text, visibility.name())
            .await;
        let post = Post {
            author,
            visibility,
            is_deleted: false,
        };
        self.model.posts.insert(id, post);
    }

    fn some_id<T>(dice: &mut Dice, things: &BTreeMap<String, T>) -> Option<String> {
        let ids: Vec<&String> = things.keys().collect();
        dice.among(&ids).map(|id| (*id).clone())
    }

    async fn show_otherwise(&mut self) {
        let Some(id) = Self::some_id(&mut self.dice, &self.model.posts) else {
            return;
        };
        let visibility = self.some_visibility();
        let post = &self.model.posts[&id];
        if post.is_deleted || self.is_away(post.author) {
            return;
        }
        let change = json!({ "visibility": visibility.name() });
        let path = format!("/posts/{id}");
        self.people[post.author]
            .patch(&path, change)
            .await
            .expect(200);
        if let Some(post) = self.model.posts.get_mut(&id) {
            post.visibility = visibility;
        }
    }

    async fn remove_post(&mut self) {
        let Some(id) = Self::some_id(&mut self.dice, &self.model.posts) else {
            return;
        };
        let post = &self.model.posts[&id];
        if post.is_deleted || self.is_away(post.author) {
            return;
        }
        let path = format!("/posts/{id}");
        self.people[post.author].delete(&path).await.expect(200);
        if let Some(post) = self.model.posts.get_mut(&id) {
            post.is_deleted = true;
        }
    }

    async fn comment(&mut self, author: usize) {
        let Some(post) = Self::some_id(&mut self.dice, &self.model.posts) else {
            return;
        };
        if self.is_away(author) || !self.model.sees_post(author, &self.model.posts[&post]) {
            return;
        }
        let text = self.text();
        let id = self.people[author].comment(&post, None, &text).await;
        let comment = Comment {
            post,
            author,
            is_deleted: false,
        };
        self.model.comments.insert(id, comment);
    }

    async fn remove_comment(&mut self) {
        let Some(id) = Self::some_id(&mut self.dice, &self.model.comments) else {
            return;
        };
        let author = self.model.comments[&id].author;
        let path = format!("/posts/comment/{id}");
        let reply = self.people[author].delete(&path).await;
        if reply.status == 200
            && let Some(comment) = self.model.comments.get_mut(&id)
        {
            comment.is_deleted = true;
        }
    }

    fn some_room(&mut self) -> usize {
        usize::try_from(self.dice.below(ROOMS as u64)).unwrap()
    }

    async fn join(&mut self, person: usize) {
        let room = self.some_room();
        let path = format!("/chat/rooms/room{room}/join");
        if self.people[person].post(&path, json!({})).await.status == 200 {
            self.model.members.insert((room, person));
        }
    }

    async fn leave(&mut self, person: usize) {
        let room = self.some_room();
        let id = &self.people[person].id;
        let path = format!("/chat/rooms/room{room}/members/{id}");
        if self.people[person].delete(&path).await.status == 200 {
            self.model.members.remove(&(room, person));
        }
    }

    async fn say(&mut self, author: usize) {
        let room = self.some_room();
        self.speak(author, Place::Room(room), &format!("room{room}"))
            .await;
    }

    async fn whisper(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        let room = format!("{}_{}", self.people[one].id, self.people[other].id);
        self.speak(one, Place::Pair(one, other), &room).await;
    }

    async fn speak(&mut self, author: usize, place: Place, room: &str) {
        let body = json!({ "message": self.text() });
        let path = format!("/chat/{room}/message");
        let reply = self.people[author].post(&path, body).await;
        if reply.status != 200 {
            return;
        }
        if let Place::Room(room) = place {
            // Who says something has come in.
            self.model.members.insert((room, author));
        }
        let id = reply.json()["data"]["id"].as_str().unwrap().to_owned();
        let message = Message {
            place,
            author,
            is_deleted: false,
        };
        self.model.messages.insert(id, message);
    }

    async fn remove_message(&mut self) {
        let Some(id) = Self::some_id(&mut self.dice, &self.model.messages) else {
            return;
        };
        let author = self.model.messages[&id].author;
        let path = format!("/chat/messages/{id}");
        let reply = self.people[author].delete(&path).await;
        if reply.status == 200
            && let Some(message) = self.model.messages.get_mut(&id)
        {
            message.is_deleted = true;
        }
    }

    async fn rename(&mut self, person: usize) {
        let name = format!("{COMMON} name{}", self.written);
        self.people[person]
            .patch("/api/v1/users/profile", json!({ "name": name }))
            .await;
    }

    /// Suspends somebody for a while; their token is one of before.
    async fn suspend(&mut self, person: usize) {
        let is_back = self.model.suspended.remove(&person);
        if !is_back {
            self.model.suspended.insert(person);
        }
        let status = if is_back { "active" } else { "suspended" };
        let path = format!("/api/v1/admin/users/{}/status", self.people[person].id);
        self.admin
            .patch(&path, json!({ "status": status }))
            .await
            .expect(200);
        if is_back {
            self.people[person] = self.server.log_in(&self.people[person]).await;
        }
    }

    /// What somebody finds with the word that everything has, by section, and the greatest count that they were told. Where
    /// nothing is indexed meanwhile, each page and count has to agree with the others.
    async fn found(
        &self,
        viewer: usize,
        is_settled: bool,
    ) -> BTreeMap<&'static str, (BTreeSet<String>, u64)> {
        let person = &self.people[viewer];
        let mut found = BTreeMap::new();
        for section in ["posts", "comments", "messages", "people", "tags"] {
            let (mut ids, mut cursor, mut most) = (BTreeSet::new(), String::new(), 0);
            let limit = if section == "tags" { 50 } else { 7 };
            loop {
                let path =
                    format!("/api/v1/search?q={COMMON}&types={section}&limit={limit}{cursor}");
                let answer = person.get(&path).await.expect(200);
                let part = &answer[section];
                most = part["total"].as_u64().unwrap().max(most);
                for hit in part["hits"].as_array().unwrap() {
                    let is_new = ids.insert(id_of(section, hit));
                    assert!(is_new || !is_settled, "{section} twice: {hit}");
                    let highlights = hit["highlights"].to_string();
                    assert!(section == "tags" || highlights.contains("true"), "{hit}");
                }
                let Some(next) = part["next_cursor"].as_str() else {
                    if is_settled {
                        assert_eq!(part["total"], ids.len(), "{section} of {viewer}");
                    }
                    break;
                };
                cursor = format!("&cursor={next}");
            }
            found.insert(section, (ids, most));
        }
        found
    }

    /// At any moment: nothing that may not be seen, whether the index has come there or not.
    async fn nobody_finds_too_much(&mut self) {
        let viewer = self.somebody();
        if self.is_away(viewer) {
            return;
        }
        let visible = self.model.visible(viewer, &self.people);
        for (section, (ids, most)) in self.found(viewer, false).await {
            let is_told_too_much = most > visible[section].len() as u64;
            assert!(!is_told_too_much, "{viewer} counts {most} {section}");
            // How many posts a tag has may be less for a moment.
            if section == "tags" {
                let name = |tag: &String| tag.split(':').next().unwrap_or_default().to_owned();
                let known: BTreeSet<String> = visible[section].iter().map(name).collect();
                assert!(ids.iter().all(|tag| known.contains(&name(tag))), "{ids:?}");
                continue;
            }
            let too_much: Vec<_> = ids.difference(&visible[section]).collect();
            assert!(too_much.is_empty(), "{viewer} finds {section} {too_much:?}");
        }
    }

    /// When the index has come there: all that may be seen, and nothing else.
    async fn everybody_finds_what_they_may_see(&self) {
        self.server.indexed().await;
        for viewer in 0..PEOPLE {
            if self.is_away(viewer) {
                continue;
            }
            let visible = self.model.visible(viewer, &self.people);
            let found = self.found(viewer, true).await.into_iter();
            let found: BTreeMap<_, _> = found.map(|(section, (ids, _))| (section, ids)).collect();
            assert_eq!(found, visible, "of {viewer}");
            let person = &self.people[viewer];
            let path = format!("/api/v1/search/suggest?q={COMMON}&limit=50");
            let suggested = person.get(&path).await.expect(200);
            let public = self.model.public_tags(viewer);
            for section in ["people", "tags"] {
                let list = suggested[section].as_array().unwrap();
                let ids: BTreeSet<String> = list.iter().map(|hit| id_of(section, hit)).collect();
                let wanted = if section == "tags" {
                    &public
                } else {
                    &visible[section]
                };
                assert_eq!(&ids, wanted, "suggested {section} of {viewer}");
            }
        }
    }
}

fn id_of(section: &str, hit: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match section {
        "people" => text(&hit["id"]),
        "tags" => format!("{}:{}", text(&hit["name"]), hit["postsCount"]),
        _ => text(&hit[section.trim_end_matches('s')]["id"]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_finds_what_the_model_says_and_never_more() {
    let server = Server::start().await;
    let admin = server.set_up("chief").await;
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(server.sign_up(&format!("{COMMON}{n}")).await);
    }
    for room in 0..ROOMS {
        let path = format!("/chat/rooms/room{room}/join");
        admin.post(&path, json!({})).await.expect(200);
    }
    let mut world = World {
        server,
        people,
        admin,
        dice: Dice::shaken(),
        model: Model::default(),
        written: 0,
    };
    for _look in 0..LOOKS {
        for _step in 0..STEPS / LOOKS {
            world.step().await;
            if world.dice.is_one_in(4) {
                world.nobody_finds_too_much().await;
            }
        }
        world.everybody_finds_what_they_may_see().await;
    }
    // And once more, with an index that was made from the rows.
    let server = world.server.restart_without("search").await;
    for person in &mut world.people {
        *person = person.at(&server);
    }
    world.server = server;
    world.everybody_finds_what_they_may_see().await;
    world.server.stop().await;
}
