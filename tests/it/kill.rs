//! Kill -9 under load, at random moments: what was acknowledged is there, counts are exact, and each event told its people
//! once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use reqwest::Method;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::counts;
use crate::support::dice::Dice;
use crate::support::told::{assert_told_once, settle, told};
use crate::support::{Client, Daemon, Person, database};

/// People who are busy at once.
const CLIENTS: usize = 6;

/// Rounds in an ordinary run, and in a long one.
const ROUNDS: u32 = 6;
const SOAK_ROUNDS: u32 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    let soaks = std::env::var("SOCIALHUB_SOAK").is_ok_and(|value| value == "1");
    let rounds = if soaks { SOAK_ROUNDS } else { ROUNDS };
    let mut dice = Dice::shaken();
    let mut daemon = Daemon::start().await;
    let mut admin = daemon.set_up("admin").await;
    let mut all_people = Vec::new();
    let mut acknowledged = 0;
    for round in 0..rounds {
        let world = Arc::new(World::default());
        // Some die at once, some in full flight.
        let enough = dice.below(400);
        acknowledged += load(&mut daemon, &world, round, dice.roll(), enough).await;
        daemon = daemon.restart().await;
        // Some die again before they have caught up.
        if dice.is_one_in(3) {
            daemon.kill_now().await;
            daemon = daemon.restart().await;
        }
        let connection = database::connect(&daemon.data_dir());
        world.assert_kept(&connection);
        counts::assert_exact(&connection);
        admin = admin.at(&daemon.client());
        settle(&admin, &connection).await;
        let people = world.with(|journal| journal.people.clone());
        let told = told(&connection);
        for person in &people {
            // That their token is taken shows that their session is there, too.
            assert_told_once(&person.at(&daemon.client()), &told).await;
        }
        all_people.extend(people.into_iter().take(1));
    }
    let connection = database::connect(&daemon.data_dir());
    let told = told(&connection);
    for person in &all_people {
        assert_told_once(&person.at(&daemon.client()), &told).await;
    }
    assert_eq!(daemon.terminate().await.code(), Some(0));
    database::assert_sound(&connection);
    // It may be set aside and made anew, which must not show; but it is worth knowing how often.
    let set_aside = daemon.log().matches("cannot be trusted").count();
    println!(
        "{rounds} rounds, {acknowledged} acknowledged writes, {set_aside} times the event log was set aside"
    );
}

/// What the clients were told, and what they may believe of what they were not told.
#[derive(Default)]
struct World {
    journal: Mutex<Journal>,
}

#[derive(Default)]
struct Journal {
    people: Vec<Person>,
    posts: BTreeMap<String, String>,
    comments: BTreeMap<String, (String, String)>,
    /// Whether it holds: one answer, or both while a change of it has not been acknowledged.
    claims: HashMap<Claim, BTreeSet<bool>>,
}

/// Something that can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Claim {
    Likes { user: String, post: String },
    Follows { follower: String, following: String },
    IsRemoved { post: String },
}

/// A change of a claim: its request, and what it makes true.
struct Change {
    claim: Claim,
    holds: bool,
    method: Method,
    path: String,
}

/// Lets people be busy until the daemon is gone; kills it once `enough` was acknowledged. How much was.
async fn load(daemon: &mut Daemon, world: &Arc<World>, round: u32, seed: u64, enough: u64) -> u64 {
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = Busy {
            client: daemon.client(),
            world: Arc::clone(world),
            dice: Dice::new(seed.wrapping_add(number as u64)),
            acknowledge: acknowledge.clone(),
        };
        clients.push(client.run(format!("r{round}c{number}")));
    }
    drop(acknowledge);
    let counting = async {
        let mut count = 0;
        while count < enough {
            acknowledged.recv().await.expect("nobody stops before");
            count += 1;
        }
        daemon.kill_now().await;
        while let Some(()) = acknowledged.recv().await {
            count += 1;
        }
        count
    };
    let (_, count) = tokio::join!(join_all(clients), counting);
    count
}

/// One person at a time, doing one thing after the other.
struct Busy {
    client: Client,
    world: Arc<World>,
    dice: Dice,
    acknowledge: mpsc::UnboundedSender<()>,
}

impl Busy {
    /// Until the server does not answer any more.
    async fn run(mut self, name: String) {
        let mut number = 0;
        let mut present = None;
        loop {
            number += 1;
            let person = match &present {
                Some(person) if !self.dice.is_one_in(20) => Person::clone(person),
                _ => {
                    let Ok(person) = self.client.try_sign_up(&format!("{name}n{number}")).await
                    else {
                        return;
                    };
                    self.note(|journal| journal.people.push(person.clone()));
                    present.insert(person).clone()
                }
            };
            if self.act(&person, number).await.is_err() {
                return;
            }
        }
    }

    async fn act(&mut self, person: &Person, number: u64) -> reqwest::Result<()> {
        let (people, posts) = self.world.with(|journal| {
            let people: Vec<String> = journal.people.iter().map(|one| one.id.clone()).collect();
            (people, journal.posts.keys().cloned().collect::<Vec<_>>())
        });
        let other = self.dice.recent(&people);
        let post = self.dice.recent(&posts);
        let holds = !self.dice.is_one_in(4);
        match (self.dice.below(8), post, other) {
            (0, Some(post), _) if self.dice.is_one_in(6) => {
                let change = Change {
                    claim: Claim::IsRemoved { post: post.clone() },
                    holds: true,
                    method: Method::DELETE,
                    path: format!("/posts/{post}"),
                };
                self.change(person, change).await
            }
            (0..=2, Some(post), _) => {
                let claim = Claim::Likes {
                    user: person.id.clone(),
                    post: post.clone(),
                };
                let change = Change {
                    claim,
                    holds,
                    method: if holds { Method::POST } else { Method::PATCH },
                    path: format!("/posts/like/{post}"),
                };
                self.change(person, change).await
            }
            (3 | 4, _, Some(other)) if other != person.id => {
                let verb = if holds { "follow" } else { "unfollow" };
                let change = Change {
                    path: format!("/users/{verb}/{other}"),
                    claim: Claim::Follows {
                        follower: person.id.clone(),
                        following: other,
                    },
                    holds,
                    method: Method::POST,
                };
                self.change(person, change).await
            }
            (5, Some(post), _) => self.comment(person, post, number).await,
            _ => self.post(person, number).await,
        }
    }

    async fn post(&self, person: &Person, number: u64) -> reqwest::Result<()> {
        let content = format!("Post {number} of {}", person.username);
        let request = person.request(Method::POST, "/posts/");
        let reply = person
            .try_send(request.json(&json!({ "content": content })))
            .await?;
        let id = text(&reply.expect(201)["post"]["id"]);
        self.note(|journal| journal.posts.insert(id, content));
        Ok(())
    }

    async fn comment(&self, person: &Person, post: String, number: u64) -> reqwest::Result<()> {
        let content = format!("Comment {number} of {}", person.username);
        let request = person.request(Method::POST, &format!("/posts/comment/{post}"));
        let reply = person
            .try_send(request.json(&json!({ "content": content })))
            .await?;
        // Removed meanwhile, by its author.
        if reply.status != 404 {
            let id = text(&reply.expect(200)["data"]["id"]);
            self.note(|journal| journal.comments.insert(id, (post, content)));
        }
        Ok(())
    }

    async fn change(&self, person: &Person, change: Change) -> reqwest::Result<()> {
        self.world.with(|journal| {
            let answers = journal.claims.entry(change.claim.clone());
            let answers = answers.or_insert_with(|| BTreeSet::from([false]));
            answers.insert(change.holds);
        });
        let request = person.request(change.method, &change.path);
        let reply = person.try_send(request.json(&json!({}))).await?;
        match reply.status.as_u16() {
            200 => self.note(|journal| {
                journal
                    .claims
                    .insert(change.claim, BTreeSet::from([change.holds]))
            }),
            // Somebody else's post, or one that is removed.
            403 | 404 => {}
            _ => panic!("{} {}", reply.status, reply.text),
        }
        Ok(())
    }

    fn note<T>(&self, entry: impl FnOnce(&mut Journal) -> T) {
        self.world.with(entry);
        // Nobody counts any more once the test has failed.
        self.acknowledge.send(()).ok();
    }
}

impl World {
    fn with<T>(&self, look: impl FnOnce(&mut Journal) -> T) -> T {
        look(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fails unless everything that was acknowledged is in the database.
    fn assert_kept(&self, connection: &Connection) {
        self.with(|journal| {
            for person in &journal.people {
                let name = find(
                    connection,
                    "SELECT username FROM users WHERE id = ?1",
                    &[&person.id],
                );
                assert_eq!(name.as_ref(), Some(&person.username));
            }
            for (id, content) in &journal.posts {
                let found = find(connection, "SELECT content FROM posts WHERE id = ?1", &[id]);
                assert_eq!(found.as_ref(), Some(content));
            }
            for (id, (post, content)) in &journal.comments {
                let sql = "SELECT content FROM comments WHERE id = ?1 AND post_id = ?2";
                let found = find(connection, sql, &[id, post]);
                assert_eq!(found.as_ref(), Some(content));
            }
            for (claim, answers) in &journal.claims {
                let holds = claim.holds(connection);
                assert!(answers.contains(&holds), "{claim:?} is {holds}");
            }
        });
    }
}

impl Claim {
    fn holds(&self, connection: &Connection) -> bool {
        let found = match self {
            Self::Likes { user, post } => find(
                connection,
                "SELECT 'yes' FROM reactions WHERE user_id = ?1 AND post_id = ?2 AND value = 1",
                &[user, post],
            ),
            Self::Follows {
                follower,
                following,
            } => find(
                connection,
                "SELECT 'yes' FROM follows WHERE follower_id = ?1 AND following_id = ?2 AND is_active = 1",
                &[follower, following],
            ),
            Self::IsRemoved { post } => find(
                connection,
                "SELECT 'yes' FROM posts WHERE id = ?1 AND is_deleted = 1",
                &[post],
            ),
        };
        found.is_some()
    }
}

fn find(connection: &Connection, sql: &str, params: &[&String]) -> Option<String> {
    let mut statement = connection.prepare_cached(sql).unwrap();
    statement
        .query_row(params_from_iter(params), |row| row.get(0))
        .optional()
        .unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
