//! Whatever one asks, nothing shows what one may not see: every route of `/openapi.json` that reads is asked by everybody,
//! for everything there is, after people wrote, edited, removed, followed and blocked at random.
//!
//! Each text carries a word of its own, also as a hashtag. A plain model says who may read which; a word in an answer that
//! is not among them is a leak, in whatever field it stands.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::{Client, Person, Server, pictures};

const PEOPLE: usize = 4;
const STEPS: u32 = 90;
/// How often everything is asked.
const LOOKS: u32 = 2;
/// Requests at the same time.
const AT_ONCE: usize = 16;
/// Words that one may not read, by which one asks.
const GUESSES: usize = 6;
/// A word that all texts have.
const COMMON: &str = "common";

/// For whom a post or a story is: everybody, those who follow, and the author alone or close friends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    Everybody,
    Followers,
    Fewest,
}

struct Post {
    id: String,
    author: usize,
    audience: Audience,
    is_deleted: bool,
    /// The texts that it had, by their word, each with those for whom it was then; the present one is the last.
    texts: Vec<(String, Audience)>,
}

struct Comment {
    id: String,
    /// Its place among the posts.
    post: usize,
    author: usize,
    is_deleted: bool,
    word: String,
}

struct Story {
    id: String,
    author: usize,
    audience: Audience,
    is_deleted: bool,
    word: String,
}

/// People by their place; pairs are of who does it and to whom.
#[derive(Default)]
struct Model {
    follows: BTreeSet<(usize, usize)>,
    blocks: BTreeSet<(usize, usize)>,
    close: BTreeSet<(usize, usize)>,
    hidden: BTreeSet<(usize, usize)>,
    posts: Vec<Post>,
    comments: Vec<Comment>,
    stories: Vec<Story>,
}

impl Model {
    fn are_apart(&self, one: usize, other: usize) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    /// None is who has no account, and reads what stands in feeds.
    fn reaches(&self, viewer: Option<usize>, author: usize, audience: Audience) -> bool {
        let Some(viewer) = viewer else {
            return audience == Audience::Everybody;
        };
        let is_among_them = match audience {
            Audience::Everybody => true,
            Audience::Followers => self.follows.contains(&(viewer, author)),
            Audience::Fewest => false,
        };
        viewer == author || is_among_them && !self.are_apart(viewer, author)
    }

    fn sees_post(&self, viewer: Option<usize>, post: &Post) -> bool {
        !post.is_deleted && self.reaches(viewer, post.author, post.audience)
    }

    fn sees_story(&self, viewer: usize, story: &Story) -> bool {
        let pair = (story.author, viewer);
        let is_close = story.audience == Audience::Fewest && self.close.contains(&pair);
        let is_reached = self.reaches(Some(viewer), story.author, story.audience)
            || is_close && !self.are_apart(viewer, story.author);
        !story.is_deleted && is_reached && !self.hidden.contains(&pair)
    }

    /// The words that somebody may read: those that have to be found, and earlier ones.
    fn readable(&self, viewer: Option<usize>) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let (mut present, mut earlier) = (BTreeSet::new(), BTreeSet::new());
        for post in self
            .posts
            .iter()
            .filter(|post| self.sees_post(viewer, post))
        {
            let (last, before) = post.texts.split_last().unwrap();
            present.insert(last.0.as_str());
            let before = before.iter();
            let reached =
                before.filter(|(_, audience)| self.reaches(viewer, post.author, *audience));
            earlier.extend(reached.map(|(word, _)| word.as_str()));
        }
        let Some(viewer) = viewer else {
            return (present, earlier);
        };
        let comments = self.comments.iter().filter(|one| {
            !one.is_deleted
                && !self.are_apart(viewer, one.author)
                && self.sees_post(Some(viewer), &self.posts[one.post])
        });
        present.extend(comments.map(|one| one.word.as_str()));
        let stories = self
            .stories
            .iter()
            .filter(|one| self.sees_story(viewer, one));
        present.extend(stories.map(|one| one.word.as_str()));
        (present, earlier)
    }

    /// All words that were ever written.
    fn words(&self) -> impl Iterator<Item = &str> {
        let posts = self.posts.iter().flat_map(|post| &post.texts);
        posts
            .map(|(word, _)| word.as_str())
            .chain(self.comments.iter().map(|one| one.word.as_str()))
            .chain(self.stories.iter().map(|one| one.word.as_str()))
    }
}

struct World {
    server: Server,
    people: Vec<Person>,
    dice: Dice,
    model: Model,
    written: usize,
    highlights: Vec<String>,
    uploads: Vec<String>,
    lists: Vec<String>,
    messages: Vec<String>,
}

impl World {
    fn somebody(&mut self) -> usize {
        usize::try_from(self.dice.below(PEOPLE as u64)).unwrap()
    }

    fn audience(&mut self) -> Audience {
        use Audience::{Everybody, Fewest, Followers};
        self.dice.one_of(&[Everybody, Followers, Followers, Fewest])
    }

    /// A text with a word of its own, and mostly a mention of somebody.
    fn text(&mut self) -> (String, String) {
        self.written += 1;
        let word = format!("mark{:04}", self.written);
        let mentioned = self.somebody();
        let mention = &self.people[mentioned].username;
        (format!("{COMMON} {word} #{word} @{mention}"), word)
    }

    /// One of those that are there, by its place.
    fn pick(&mut self, count: usize) -> Option<usize> {
        let places: Vec<usize> = (0..count).collect();
        self.dice.recent(&places)
    }

    async fn step(&mut self) {
        let (one, other) = (self.somebody(), self.somebody());
        match self.dice.below(22) {
            0..4 => self.relate(one, other, "follow").await,
            4 | 5 => self.relate(one, other, "block").await,
            6 => self.relate(one, other, "close-friends").await,
            7 => self.relate(one, other, "hidden-from").await,
            8..12 => self.write(one).await,
            12..14 => self.edit().await,
            14 => self.remove_post().await,
            15 | 16 => self.comment(one).await,
            17 => self.remove_comment().await,
            18 | 19 => self.tell(one).await,
            20 => self.remove_story().await,
            _ => self.like_and_point(one, other).await,
        }
    }

    /// Begins or ends something between two.
    async fn relate(&mut self, one: usize, other: usize, what: &str) {
        if one == other {
            return;
        }
        let pair = (one, other);
        let begins = self.dice.is_one_in(2);
        let id = &self.people[other].id;
        let (path, begin) = match (what, begins) {
            ("follow", true) => (format!("/users/follow/{id}"), Method::POST),
            ("follow", false) => (format!("/users/unfollow/{id}"), Method::POST),
            ("block", _) => (format!("/users/{id}/block"), Method::POST),
            _ => (format!("/api/v1/stories/{what}/{id}"), Method::PUT),
        };
        let method = if begins { begin } else { Method::DELETE };
        let request = self.people[one].request(method, &path).json(&json!({}));
        if !self.people[one].send(request).await.status.is_success() {
            return;
        }
        let model = &mut self.model;
        if what == "block" && begins {
            model.follows.remove(&pair);
            model.follows.remove(&(other, one));
        }
        let pairs = match what {
            "follow" => &mut model.follows,
            "block" => &mut model.blocks,
            "close-friends" => &mut model.close,
            _ => &mut model.hidden,
        };
        if begins {
            pairs.insert(pair);
        } else {
            pairs.remove(&pair);
        }
    }

    async fn write(&mut self, author: usize) {
        let (audience, (text, word)) = (self.audience(), self.text());
        let id = self.people[author]
            .write_for(&text, of_post(audience))
            .await;
        self.model.posts.push(Post {
            id,
            author,
            audience,
            is_deleted: false,
            texts: vec![(word, audience)],
        });
    }

    async fn edit(&mut self) {
        let Some(place) = self.pick(self.model.posts.len()) else {
            return;
        };
        let (audience, (text, word)) = (self.audience(), self.text());
        let post = &mut self.model.posts[place];
        if post.is_deleted {
            return;
        }
        let (path, body) = (
            format!("/posts/{}", post.id),
            json!({ "caption": text, "content": text, "visibility": of_post(audience) }),
        );
        self.people[post.author]
            .patch(&path, body)
            .await
            .expect(200);
        post.audience = audience;
        post.texts.push((word, audience));
    }

    async fn remove_post(&mut self) {
        if let Some(place) = self.pick(self.model.posts.len()) {
            let post = &mut self.model.posts[place];
            let reply = self.people[post.author]
                .delete(&format!("/posts/{}", post.id))
                .await;
            assert_eq!(reply.status.is_success(), !post.is_deleted);
            post.is_deleted = true;
        }
    }

    async fn comment(&mut self, author: usize) {
        let Some(place) = self.pick(self.model.posts.len()) else {
            return;
        };
        let (text, word) = self.text();
        let post = &self.model.posts[place];
        let path = format!("/posts/comment/{}", post.id);
        let reply = self.people[author]
            .post(&path, json!({ "content": text }))
            .await;
        let sees = self.model.sees_post(Some(author), post);
        assert_eq!(reply.status.is_success(), sees, "{}", reply.text);
        if sees {
            self.model.comments.push(Comment {
                id: reply.json()["data"]["id"].as_str().unwrap().to_owned(),
                post: place,
                author,
                is_deleted: false,
                word,
            });
        }
    }

    async fn remove_comment(&mut self) {
        if let Some(place) = self.pick(self.model.comments.len()) {
            let comment = &mut self.model.comments[place];
            let path = format!("/posts/comment/{}", comment.id);
            let reply = self.people[comment.author].delete(&path).await;
            comment.is_deleted |= reply.status.is_success();
        }
    }

    async fn tell(&mut self, author: usize) {
        let (audience, (text, word)) = (self.audience(), self.text());
        let mut body = json!({ "text": text, "audience": match audience {
            Audience::Everybody => "public",
            Audience::Followers => "followers",
            Audience::Fewest => "close",
        }});
        if self.dice.is_one_in(2) {
            let form = pictures::form().text("alt", text);
            let uploaded = pictures::send(&self.people[author], "/api/v1/media", form).await;
            let id = uploaded.expect(201)["media"]["id"]
                .as_str()
                .unwrap()
                .to_owned();
            body["text"] = json!("");
            body["mediaId"] = json!(id);
            self.uploads.push(id);
        }
        let told = self.people[author]
            .post("/api/v1/stories", body)
            .await
            .expect(201);
        let id = told["story"]["id"].as_str().unwrap().to_owned();
        let highlight = json!({ "title": "Kept", "storyIds": [id] });
        let kept = self.people[author]
            .post("/api/v1/highlights", highlight)
            .await
            .expect(201);
        let kept = kept["highlight"]["id"].as_str().unwrap().to_owned();
        self.highlights.push(kept);
        self.model.stories.push(Story {
            id,
            author,
            audience,
            is_deleted: false,
            word,
        });
    }

    async fn remove_story(&mut self) {
        if let Some(place) = self.pick(self.model.stories.len()) {
            let story = &mut self.model.stories[place];
            let path = format!("/api/v1/stories/{}", story.id);
            let reply = self.people[story.author].delete(&path).await;
            story.is_deleted |= reply.status.is_success();
        }
    }

    /// What others are told of, and what a message brings along.
    async fn like_and_point(&mut self, one: usize, other: usize) {
        if let Some(place) = self.pick(self.model.posts.len()) {
            let id = &self.model.posts[place].id;
            let path = format!("/posts/like/{id}");
            self.people[one].post(&path, json!({})).await;
            let list = json!({ "title": "All" });
            let list = self.people[one]
                .post("/api/v1/lists", list)
                .await
                .expect(201);
            let list = list["list"]["id"].as_str().unwrap().to_owned();
            let path = format!("/api/v1/lists/{list}/members");
            let member = json!({ "userId": self.people[other].id });
            self.people[one].post(&path, member).await;
            self.lists.push(list);
            let path = "/chat/rooms/hall/join";
            self.people[one].post(path, json!({})).await.expect(200);
            let says = json!({ "message": "Look", "postIds": [id] });
            let said = self.people[one].post("/chat/hall/message", says).await;
            if said.status.is_success() {
                let said = said.json();
                let id = said["message"]["id"]
                    .as_str()
                    .or(said["data"]["id"].as_str());
                self.messages.push(id.unwrap().to_owned());
            }
        }
        if let Some(place) = self.pick(self.model.stories.len()) {
            let id = &self.model.stories[place].id;
            self.people[one]
                .post(&format!("/api/v1/stories/{id}/view"), json!({}))
                .await;
            let answer = json!({ "message": "Nice" });
            self.people[one]
                .post(&format!("/api/v1/stories/{id}/replies"), answer)
                .await;
        }
    }

    /// What may stand for a parameter of a path.
    fn values(&self, path: &str, name: &str) -> Vec<String> {
        let posts = || self.model.posts.iter().map(|one| one.id.clone());
        let comments = || self.model.comments.iter().map(|one| one.id.clone());
        let ids = || self.people.iter().map(|one| one.id.clone());
        match name {
            "userId" => ids().collect(),
            "username" => self.people.iter().map(|one| one.username.clone()).collect(),
            "storyId" => self
                .model
                .stories
                .iter()
                .map(|one| one.id.clone())
                .collect(),
            "highlightId" => self.highlights.clone(),
            "messageId" => self.messages.clone(),
            "roomId" => {
                let pairs = ids()
                    .zip(ids().skip(1))
                    .map(|(one, other)| format!("{one}_{other}"));
                pairs.chain(["hall".to_owned()]).collect()
            }
            "tag" => vec![COMMON.to_owned()],
            "id" if path.contains("/media/") => self.uploads.clone(),
            "id" if path.contains("/lists/") => self.lists.clone(),
            "id" if path.contains("/posts/comment") => posts().chain(comments()).collect(),
            "id" if path.contains("/posts/") => posts().collect(),
            "id" | "name" | "key" | "file" => Vec::new(),
            _ => panic!("what should stand for {{{name}}} in {path}?"),
        }
    }

    /// All that can be asked, but for what one would have to guess.
    fn questions(&self, document: &Value) -> Vec<String> {
        let mut all = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            // What it sends never ends; `tests/it/live.rs` has it.
            let Some(reads) = methods.get("get").filter(|_| !path.ends_with("/stream")) else {
                continue;
            };
            let empty = Vec::new();
            let parameters = reads["parameters"].as_array().unwrap_or(&empty);
            let mut paths = vec![path.clone()];
            let mut query = vec!["limit=100".to_owned()];
            for parameter in parameters {
                let name = parameter["name"].as_str().unwrap();
                match (parameter["in"].as_str().unwrap(), name) {
                    ("path", _) => {
                        let hole = format!("{{{name}}}");
                        let values = self.values(path, name);
                        let fill = |path: &String| {
                            let filled = values.iter().map(|value| path.replace(&hole, value));
                            filled.collect::<Vec<_>>()
                        };
                        paths = paths.iter().flat_map(fill).collect();
                    }
                    ("query", "q" | "query" | "prefix") => query.push(format!("{name}=co")),
                    ("query", "ids") if path.contains("/posts/") => {
                        let ids: Vec<&str> =
                            self.model.posts.iter().map(|one| one.id.as_str()).collect();
                        query.push(format!("ids={}", ids.join(",")));
                    }
                    ("query", "ids") => query.push(format!("ids={}", self.people[0].id)),
                    ("query", "nested") => query.push("nested=true".to_owned()),
                    _ => {}
                }
            }
            let query = query.join("&");
            all.extend(paths.iter().map(|path| format!("{path}?{query}")));
        }
        for more in [
            "/api/v1/feed?order=ranked&limit=100",
            "/api/v1/search?q=common&sort=newest&limit=100",
            "/api/v1/search?q=common&limit=100",
            "/api/v1/search?q=in:comments+common&limit=100",
            "/api/v1/notifications?group=true&limit=100",
        ] {
            all.push(more.to_owned());
        }
        all
    }

    /// What one asks with a word that one may not know.
    fn guesses(word: &str) -> [String; 8] {
        [
            format!("/api/v1/search?q={word}"),
            format!("/api/v1/search?q=%23{word}"),
            format!("/api/v1/search?q=-nothing+{word}&sort=newest"),
            format!("/api/v1/search/suggest?q=%23{word}"),
            format!("/api/v1/tags/{word}"),
            format!("/api/v1/tags/{word}/posts"),
            format!("/api/v1/tags?prefix={word}"),
            format!("/api/v1/tags/{word}/posts.atom"),
        ]
    }

    async fn nobody_sees_too_much(&mut self, document: &Value) {
        let questions = self.questions(document);
        let stranger: &Client = &self.server;
        let viewers = (0..PEOPLE).map(Some).chain([None]);
        for viewer in viewers {
            let client: &Client = viewer.map_or(stranger, |viewer| &self.people[viewer]);
            let (present, earlier) = self.model.readable(viewer);
            let hidden: Vec<&str> = self
                .model
                .words()
                .filter(|word| !present.contains(word) && !earlier.contains(word))
                .collect();
            let (public, _) = self.model.readable(None);
            let mut shown = BTreeSet::new();
            let mut answers = futures_util::stream::iter(&questions)
                .map(|question| async move { (question, client.get(question).await) })
                .buffer_unordered(AT_ONCE);
            while let Some((question, answer)) = answers.next().await {
                assert!(answer.status.as_u16() < 500, "{question}: {}", answer.text);
                for word in &hidden {
                    // What is public is no secret: feeds need no account, and tags are counted for all alike.
                    let is_told_to_all = for_all(question) && public.contains(word);
                    assert!(
                        is_told_to_all || !answer.text.contains(word),
                        "{viewer:?} asks {question} and reads {word}: {}",
                        answer.text
                    );
                }
                let words = present.iter().filter(|word| answer.text.contains(**word));
                shown.extend(words.copied());
            }
            // So that it is known to be looked for in the right places.
            if viewer.is_some() {
                assert_eq!(shown, present, "{viewer:?}");
            }
            let mut guessed = hidden.clone();
            while guessed.len() > GUESSES {
                let place = usize::try_from(self.dice.below(guessed.len() as u64)).unwrap();
                guessed.swap_remove(place);
            }
            for word in guessed {
                self.guess(client, word).await;
            }
        }
    }

    /// A word comes back as part of what was asked, but no text that has it, and no number that counts it.
    async fn guess(&self, client: &Client, word: &str) {
        let posts = self.model.posts.iter();
        let is_public = posts.filter(|post| !post.is_deleted).any(|post| {
            post.texts.last().is_some_and(|(last, _)| last == word)
                && post.audience == Audience::Everybody
        });
        for question in Self::guesses(word) {
            let answer = client.get(&question).await;
            assert!(
                is_public && for_all(&question) || !answer.text.contains(COMMON),
                "{question}: {}",
                answer.text
            );
            // What is public is counted for those as well to whom it is not shown.
            if !is_public && answer.status.is_success() && answer.text.starts_with('{') {
                assert_eq!(counted(&answer.json()), 0, "{question}: {}", answer.text);
            }
        }
    }
}

/// Whether a question has the same answer for everybody.
fn for_all(question: &str) -> bool {
    let path = question.split('?').next().unwrap_or_default();
    path.ends_with("/posts.atom")
        || path.ends_with("/posts.rss")
        || path == "/api/v1/trending/tags"
        || path == "/api/v1/tags"
}

/// All that an answer counts.
fn counted(answer: &Value) -> u64 {
    match answer {
        Value::Object(fields) => {
            let counts = fields
                .iter()
                .filter(|(name, _)| *name == "total" || name.ends_with("Count"));
            let counts: u64 = counts.filter_map(|(_, count)| count.as_u64()).sum();
            counts + fields.values().map(counted).sum::<u64>()
        }
        Value::Array(items) => items.iter().map(counted).sum(),
        _ => 0,
    }
}

fn of_post(audience: Audience) -> &'static str {
    match audience {
        Audience::Everybody => "public",
        Audience::Followers => "followers",
        Audience::Fewest => "private",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_can_be_asked_shows_what_one_may_not_see() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.expect(200);
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(server.sign_up(&format!("person{number}")).await);
    }
    let mut world = World {
        server,
        people,
        dice: Dice::shaken(),
        model: Model::default(),
        written: 0,
        highlights: Vec::new(),
        uploads: Vec::new(),
        lists: Vec::new(),
        messages: Vec::new(),
    };
    for _look in 0..LOOKS {
        for _step in 0..STEPS / LOOKS {
            world.step().await;
        }
        world.server.settle().await;
        world.server.indexed().await;
        world.nobody_sees_too_much(&document).await;
    }
    world.server.stop().await;
}
