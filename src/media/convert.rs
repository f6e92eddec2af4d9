//! Films on their way into what every browser plays: one after the other, in the background. What waits is noted in the
//! database, so a restart goes on where it was; `queue` says whose turn it is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use metrics::counter;
use tracing::{info, warn};

use super::ffmpeg::{Ffmpeg, Job};
use super::films::{Films, ffmpeg_error};
use super::queue::{Attempt, Queue};
use super::{Conversion, Kind, Media, SetConversion, sql};
use crate::blobs::{BlobHash, Blobs, Part};
use crate::error::{Code, Error, Result};
use crate::tasks::{Tasks, blocking_in_turn};

/// The names of what is made.
pub(super) const FILM: &str = "film.mp4";
pub(super) const SOUND: &str = "sound.m4a";
pub(super) const LADDER: &str = "hls";
const MASTER: &str = "master.m3u8";

/// How long to wait before the database is asked again that did not answer.
const PAUSE: Duration = Duration::from_mins(1);

/// How far each conversion is, from 0 to 1.
#[derive(Default)]
pub(super) struct Progress {
    done: Mutex<HashMap<BlobHash, f32>>,
}

impl Progress {
    fn set(&self, hash: BlobHash, part: f32) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(hash, part);
    }

    fn clear(&self, hash: BlobHash) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.remove(&hash);
    }

    fn get(&self, hash: BlobHash) -> f32 {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.get(&hash).copied().unwrap_or(0.0)
    }
}

impl Media {
    /// How far the conversion of an upload is, from 0 to 1; none when there is nothing to wait for.
    pub async fn progress(&self, id: crate::id::MediaId) -> Result<Option<f32>> {
        let file = self.find_file(id).await?;
        let waits = file.conversion == Conversion::Waiting;
        Ok(waits.then(|| self.shared.progress.get(file.hash)))
    }

    pub(super) fn keep_converting(&self, tasks: &Tasks) {
        let (media, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn("conversions", async move {
            let films = media.shared.films.clone();
            let is_there = blocking_in_turn(move || Ok(films.ffmpeg().is_some())).await;
            if is_there.unwrap_or_default() {
                stopping.run_until_cancelled(media.convert_all()).await;
            }
        });
        // What the above hands to another thread ends by itself: it looks at the same token.
    }

    async fn convert_all(&self) {
        let mut queue = Queue::default();
        loop {
            let put_off = queue.put_off(Instant::now());
            let waiting = self
                .shared
                .store
                .read(move |tx| sql::waiting(tx, &put_off))
                .await;
            match waiting.map(|waiting| queue.next(waiting)) {
                Ok(Some(film)) => {
                    let is_last = queue.is_last_try(film.hash);
                    let attempt = self.convert_one(film.hash, film.kind, is_last).await;
                    queue.note(&film, attempt, self.shared.ids.now(), Instant::now());
                }
                Ok(None) => {
                    let news = self.shared.shelf.news.notified();
                    match queue.resumes_at(Instant::now()) {
                        Some(then) => {
                            tokio::time::timeout_at(then.into(), news).await.ok();
                        }
                        None => news.await,
                    }
                }
                Err(error) => {
                    warn!(error = %error, causes = error.causes(), "Conversions wait");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn convert_and_secure(&self, hash: BlobHash, kind: Kind) -> Result<()> {
        let (films, blobs) = (self.shared.films.clone(), self.shared.blobs.clone());
        // What is made shall not take the room that all else needs.
        blobs.check_room()?;
        // It may not be removed meanwhile.
        let pin = blobs.pin(hash)?;
        // What is made last tells that all is.
        let last = match kind {
            Kind::Video => format!("{LADDER}/{MASTER}"),
            Kind::Image | Kind::Audio => SOUND.to_owned(),
        };
        let pin = if blobs.bring(hash, Part::Made(last.into())).await?.is_none() {
            let original = blobs.bring(hash, Part::Original).await?;
            let original = original.ok_or_else(|| Error::internal("the original is gone"))?;
            let progress = std::sync::Arc::clone(&self.shared.progress);
            let work = move || {
                let tell = |part| progress.set(hash, part);
                let converted = convert(&films, &blobs, hash, kind, &original, &tell);
                progress.clear(hash);
                // It goes on when nobody waits for it any more.
                converted.map(|()| pin)
            };
            blocking_in_turn(work).await?
        } else {
            pin
        };
        self.shared.blobs.secure(hash).await?;
        drop(pin);
        Ok(())
    }

    async fn convert_one(&self, hash: BlobHash, kind: Kind, is_last: bool) -> Attempt {
        let (state, failure) = match self.convert_and_secure(hash, kind).await {
            Ok(()) => {
                counter!("socialhub_media_conversions_total", "outcome" => "done").increment(1);
                (Conversion::Done, None)
            }
            // It stops, or the content is being removed just now.
            Err(error) if matches!(error.code(), Code::NotReady | Code::Overloaded) => {
                return Attempt::Hindered;
            }
            Err(error)
                if matches!(
                    error.code(),
                    Code::MediaStoreUnavailable | Code::StorageFull
                ) =>
            {
                warn!(error = %error, causes = error.causes(), "A video waits to be converted");
                return Attempt::Hindered;
            }
            Err(error) => {
                warn!(error = %error, causes = error.causes(), "A video could not be converted");
                let failure = match error.code() {
                    Code::Internal if !is_last => return Attempt::Failed,
                    Code::Internal => Code::ConversionFailed,
                    code => code,
                };
                counter!("socialhub_media_conversions_total", "outcome" => "failed").increment(1);
                (Conversion::Failed, Some(failure))
            }
        };
        let noted = self
            .shared
            .store
            .submit(SetConversion {
                hash,
                state,
                failure,
            })
            .await;
        if let Err(error) = &noted {
            warn!(error = %error, causes = error.causes(), "A conversion could not be noted");
        }
        if noted.is_ok() {
            Attempt::Over
        } else {
            Attempt::Hindered
        }
    }
}

/// Makes what browsers play of a film or a recording. Blocks for as long as that takes.
fn convert(
    films: &Films,
    blobs: &Blobs,
    hash: BlobHash,
    kind: Kind,
    original: &Path,
    progress: &dyn Fn(f32),
) -> Result<()> {
    let ffmpeg: &Ffmpeg = films.ffmpeg().ok_or(Code::NotReady)?;
    let scratch = blobs.scratch()?;
    let should_stop = || films.stopping.is_cancelled();
    let job = Job {
        limits: &films.limits,
        scratch: scratch.path(),
        should_stop: &should_stop,
    };
    let facts = ffmpeg.probe(original, &job).map_err(ffmpeg_error)?;
    if kind == Kind::Audio {
        let out = scratch.path().join(SOUND);
        ffmpeg
            .audio(original, &facts, &out, progress, &job)
            .map_err(ffmpeg_error)?;
        return blobs.adopt(hash, SOUND, &out);
    }
    // The ladder takes several times as long as the one film.
    let out = scratch.path().join(FILM);
    ffmpeg
        .mp4(original, &facts, &out, &|part| progress(part * 0.3), &job)
        .map_err(ffmpeg_error)?;
    blobs.adopt(hash, FILM, &out)?;
    let out = scratch.path().join(LADDER);
    std::fs::create_dir(&out).map_err(Error::internal)?;
    let ladder = ffmpeg
        .hls(
            original,
            &facts,
            &out,
            &|part| progress(0.3 + part * 0.7),
            &job,
        )
        .map_err(ffmpeg_error)?;
    // The master last: what it names is there when it is.
    let mut files: Vec<&str> = ladder.files().collect();
    files.sort_by_key(|name| *name == MASTER);
    for name in files {
        blobs.adopt(hash, &format!("{LADDER}/{name}"), &out.join(name))?;
    }
    info!("Converted the video {hash}");
    Ok(())
}
