//! What each person sees, after they followed, blocked and muted each other at random: what a plain model says.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::counts;
use crate::support::dice::Dice;
use crate::support::{Person, Server, database, ids};

const PEOPLE: usize = 5;
/// Enough that everybody has blocked and been blocked, and has written between.
const STEPS: u32 = 150;
/// How often all is compared on the way.
const LOOKS: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visibility {
    Public,
    Followers,
    Private,
}

struct Post {
    id: String,
    author: usize,
    visibility: Visibility,
}

struct Comment {
    id: String,
    /// Its place among the posts.
    post: usize,
    /// Its place among the comments.
    parent: Option<usize>,
    author: usize,
}

/// Everybody by their place among the people; pairs are of who does it and to whom.
#[derive(Default)]
struct Model {
    follows: BTreeSet<(usize, usize)>,
    blocks: BTreeSet<(usize, usize)>,
    mutes: BTreeSet<(usize, usize)>,
    posts: Vec<Post>,
    comments: Vec<Comment>,
    /// Post and person.
    likes: BTreeSet<(usize, usize)>,
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
        viewer == post.author || is_for_viewer && !self.are_apart(viewer, post.author)
    }

    fn answers(&self, comment: usize) -> impl Iterator<Item = usize> {
        (0..self.comments.len()).filter(move |at| self.comments[*at].parent == Some(comment))
    }

    fn shows_comment(&self, viewer: usize, comment: usize) -> bool {
        let is_answered = self.answers(comment).next().is_some();
        is_answered || !self.are_apart(viewer, self.comments[comment].author)
    }

    /// A comment and what is beneath it, the oldest first.
    fn branch(&self, viewer: usize, comment: usize, people: &[Person]) -> Value {
        let one = &self.comments[comment];
        let replies: Vec<Value> = self
            .answers(comment)
            .filter(|answer| self.shows_comment(viewer, *answer))
            .map(|answer| self.branch(viewer, answer, people))
            .collect();
        let author = (!self.are_apart(viewer, one.author)).then(|| &people[one.author].id);
        json!({ "id": one.id, "authorId": author, "repliesCount": replies.len(), "replies": replies })
    }
}

/// The same of what the server answers.
fn trimmed(comment: &Value) -> Value {
    assert_eq!(comment["content"].is_null(), comment["authorId"].is_null());
    assert!(comment.get("repliesCursor").is_none(), "nothing follows");
    let replies = comment["replies"].as_array().unwrap().iter().map(trimmed);
    json!({
        "id": comment["id"], "authorId": comment["authorId"], "repliesCount": comment["repliesCount"],
        "replies": replies.collect::<Vec<_>>(),
    })
}

struct World {
    server: Server,
    people: Vec<Person>,
    dice: Dice,
    model: Model,
}

impl World {
    /// Does something at random, and expects of it what the model says.
    async fn step(&mut self) {
        let (one, other) = (self.somebody(), self.somebody());
        match self.dice.below(16) {
            0..3 => self.relate(one, other, Method::POST, "follow").await,
            3 => self.relate(one, other, Method::DELETE, "follow").await,
            4 | 5 => self.relate(one, other, Method::POST, "block").await,
            6 | 7 => self.relate(one, other, Method::DELETE, "block").await,
            8 => self.relate(one, other, Method::POST, "mute").await,
            9 => self.relate(one, other, Method::DELETE, "mute").await,
            10 | 11 => self.write(one).await,
            12 => self.like(one).await,
            _ => self.comment(one).await,
        }
    }

    fn somebody(&mut self) -> usize {
        usize::try_from(self.dice.below(PEOPLE as u64)).unwrap()
    }

    async fn relate(&mut self, one: usize, other: usize, method: Method, what: &str) {
        if one == other {
            return;
        }
        let id = &self.people[other].id;
        let begins = method == Method::POST;
        let path = match (what, begins) {
            ("follow", true) => format!("/users/follow/{id}"),
            ("follow", false) => format!("/users/unfollow/{id}"),
            _ => format!("/users/{id}/{what}"),
        };
        let request = self.people[one].request(method, &path).json(&json!({}));
        let status = self.people[one].send(request).await.status.as_u16();
        let pair = (one, other);
        let model = &mut self.model;
        let is_own_block = what == "block" && model.blocks.contains(&pair);
        if model.are_apart(one, other) && !is_own_block {
            assert_eq!(status, 404, "{what} {pair:?}");
            return;
        }
        assert_eq!(status, 200, "{what} {pair:?}");
        let pairs = match what {
            "follow" => &mut model.follows,
            "block" => &mut model.blocks,
            _ => &mut model.mutes,
        };
        if begins {
            pairs.insert(pair);
        } else {
            pairs.remove(&pair);
        }
        if what == "block" && begins {
            model.follows.remove(&pair);
            model.follows.remove(&(other, one));
        }
    }

    async fn write(&mut self, author: usize) {
        let (visibility, name) = self.dice.one_of(&[
            (Visibility::Public, "public"),
            (Visibility::Public, "public"),
            (Visibility::Followers, "followers"),
            (Visibility::Private, "private"),
        ]);
        let text = format!("@person{} @person{}", self.somebody(), self.somebody());
        let id = self.people[author].write_for(&text, name).await;
        self.model.posts.push(Post {
            id,
            author,
            visibility,
        });
    }

    fn some_post(&mut self) -> Option<usize> {
        let count = self.model.posts.len();
        (count > 0).then(|| usize::try_from(self.dice.below(count as u64)).unwrap())
    }

    async fn like(&mut self, person: usize) {
        let Some(post) = self.some_post() else { return };
        let one = &self.model.posts[post];
        let path = format!("/posts/like/{}", one.id);
        let status = self.people[person].post(&path, json!({})).await.status;
        if self.model.sees_post(person, one) {
            assert_eq!(status, 200);
            self.model.likes.insert((post, person));
        } else {
            assert_eq!(status, 404);
        }
    }

    async fn comment(&mut self, author: usize) {
        // One reply shows ten answers to a comment.
        let beneath: Vec<usize> = (0..self.model.comments.len())
            .filter(|one| self.model.answers(*one).count() < 10)
            .collect();
        let parent = if self.dice.is_one_in(3) {
            None
        } else {
            self.dice.among(&beneath).copied()
        };
        let post = match parent {
            Some(parent) => Some(self.model.comments[parent].post),
            None => self.some_post(),
        };
        let Some(post) = post else { return };
        let text = format!("@person{}", self.somebody());
        let model = &mut self.model;
        let answered = parent.map(|parent| &model.comments[parent]);
        let body = json!({ "content": text, "parentCommentId": answered.map(|one| &one.id) });
        let path = format!("/posts/comment/{}", model.posts[post].id);
        let reply = self.people[author].post(&path, body).await;
        let is_allowed = model.sees_post(author, &model.posts[post])
            && answered.is_none_or(|one| !model.are_apart(author, one.author));
        if !is_allowed {
            reply.expect(404);
            return;
        }
        let id = reply.expect(200)["data"]["id"].as_str().unwrap().to_owned();
        model.comments.push(Comment {
            id,
            post,
            parent,
            author,
        });
    }

    /// Compares what everybody sees with the model.
    async fn compare(&self) {
        self.server.settle().await;
        counts::assert_exact(&database::connect(self.server.app.data_dir()));
        for viewer in 0..PEOPLE {
            for other in 0..PEOPLE {
                self.compare_person(viewer, other).await;
            }
            for post in 0..self.model.posts.len() {
                self.compare_post(viewer, post).await;
            }
            self.compare_own_lists(viewer).await;
        }
    }

    async fn list(&self, viewer: usize, path: &str, field: &str) -> Vec<Value> {
        let reply = self.people[viewer].get(path).await.expect(200);
        assert!(reply["next_cursor"].is_null());
        reply[field].as_array().unwrap().clone()
    }

    /// The people of a list must be those for whom this is true.
    async fn compare_people(
        &self,
        viewer: usize,
        path: &str,
        field: &str,
        expected: impl Fn(usize) -> bool,
    ) {
        let list = self.list(viewer, path, field).await;
        let seen: BTreeSet<&str> = ids(&list).into_iter().collect();
        let expected: BTreeSet<&str> = (0..PEOPLE)
            .filter(|person| expected(*person))
            .map(|person| self.people[person].id.as_str())
            .collect();
        assert_eq!(seen, expected, "{path} for {viewer}");
    }

    async fn compare_person(&self, viewer: usize, other: usize) {
        let (model, id) = (&self.model, &self.people[other].id);
        let profile = self.people[viewer]
            .get(&format!("/users/profile/{id}"))
            .await;
        let posts = format!("/posts/user/{id}?limit=100");
        if model.are_apart(viewer, other) {
            profile.expect_code(404, "user_not_found");
            self.people[viewer]
                .get(&posts)
                .await
                .expect_code(404, "user_not_found");
            return;
        }
        let seen = profile.expect(200)["user"].clone();
        let visible: Vec<&str> = self.posts_for(viewer, |post| post.author == other);
        for (field, expected) in [
            (
                "isFollowing",
                json!(model.follows.contains(&(viewer, other))),
            ),
            ("followsMe", json!(model.follows.contains(&(other, viewer)))),
            ("isMuted", json!(model.mutes.contains(&(viewer, other)))),
            ("isBlocked", json!(false)),
            ("postsCount", json!(visible.len())),
        ] {
            assert_eq!(seen[field], expected, "{field} of {other} for {viewer}");
        }
        assert_eq!(ids(&self.list(viewer, &posts, "posts").await), visible);
        for (path, field, of) in [
            ("followers", "followers", true),
            ("following", "following", false),
        ] {
            let path = format!("/users/{path}/{id}?limit=100");
            self.compare_people(viewer, &path, field, |person| {
                let pair = if of { (person, other) } else { (other, person) };
                model.follows.contains(&pair) && !model.are_apart(viewer, person)
            })
            .await;
        }
    }

    /// The posts that somebody sees, of those wanted, newest first.
    fn posts_for(&self, viewer: usize, is_wanted: impl Fn(&Post) -> bool) -> Vec<&str> {
        let seen = self.model.posts.iter().rev();
        seen.filter(|post| self.model.sees_post(viewer, post) && is_wanted(post))
            .map(|post| post.id.as_str())
            .collect()
    }

    async fn compare_post(&self, viewer: usize, at: usize) {
        let (model, post) = (&self.model, &self.model.posts[at]);
        let reply = self.people[viewer]
            .get(&format!("/posts/{}", post.id))
            .await;
        let flat = format!("/posts/comment/{}?sort=oldest", post.id);
        if !model.sees_post(viewer, post) {
            reply.expect_code(404, "post_not_found");
            self.people[viewer]
                .get(&flat)
                .await
                .expect_code(404, "post_not_found");
            return;
        }
        reply.expect(200);
        let likes = format!("/posts/{}/likes?limit=100", post.id);
        self.compare_people(viewer, &likes, "users", |person| {
            model.likes.contains(&(at, person)) && !model.are_apart(viewer, person)
        })
        .await;
        let beneath = || (0..model.comments.len()).filter(|one| model.comments[*one].post == at);
        let expected: Vec<&str> = beneath()
            .filter(|one| !model.are_apart(viewer, model.comments[*one].author))
            .map(|one| model.comments[one].id.as_str())
            .collect();
        assert_eq!(ids(&self.list(viewer, &flat, "data").await), expected);
        let expected: Vec<Value> = beneath()
            .filter(|one| {
                model.comments[*one].parent.is_none() && model.shows_comment(viewer, *one)
            })
            .map(|one| model.branch(viewer, one, &self.people))
            .collect();
        let nested = self
            .list(viewer, &format!("{flat}&nested=true&limit=100"), "data")
            .await;
        assert_eq!(nested.iter().map(trimmed).collect::<Vec<_>>(), expected);
    }

    async fn compare_own_lists(&self, viewer: usize) {
        let model = &self.model;
        let timeline = self.list(viewer, "/posts?limit=100", "posts").await;
        let expected = self.posts_for(viewer, |post| {
            let is_open = post.visibility == Visibility::Public
                && !model.mutes.contains(&(viewer, post.author));
            post.author == viewer || is_open
        });
        assert_eq!(ids(&timeline), expected, "the timeline of {viewer}");
        let is_there = |person| !model.are_apart(viewer, person);
        self.compare_people(viewer, "/users/search?query=person", "users", |person| {
            person != viewer && is_there(person)
        })
        .await;
        self.compare_people(viewer, "/users/mutuals", "users", |person| {
            model.follows.contains(&(viewer, person)) && model.follows.contains(&(person, viewer))
        })
        .await;
        self.compare_people(viewer, "/users/blocked", "users", |person| {
            model.blocks.contains(&(viewer, person))
        })
        .await;
        self.compare_people(viewer, "/users/muted", "users", |person| {
            model.mutes.contains(&(viewer, person)) && is_there(person)
        })
        .await;
        let told = self
            .list(viewer, "/api/v1/notifications?limit=100", "data")
            .await;
        for one in &told {
            let by = |person: &Person| one["triggeredById"] == person.id.as_str();
            let actor = self.people.iter().position(by).unwrap();
            let is_heard = is_there(actor) && !model.mutes.contains(&(viewer, actor));
            assert!(is_heard, "{viewer} is told {one}");
        }
        let unread = self.people[viewer]
            .get("/api/v1/notifications/unread/count")
            .await;
        assert_eq!(unread.expect(200)["count"], told.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_the_model_says() {
    let server = Server::start().await;
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(server.sign_up(&format!("person{n}")).await);
    }
    let mut world = World {
        server,
        people,
        dice: Dice::shaken(),
        model: Model::default(),
    };
    for _look in 0..LOOKS {
        for _step in 0..STEPS / LOOKS {
            world.step().await;
        }
        world.compare().await;
    }
    world.server.stop().await;
}
