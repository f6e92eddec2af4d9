// The setup page: sends the form to POST /api/v1/setup and shows what is wrong beside its field.

const form = document.getElementById("setup");
const status = document.getElementById("status");
const button = form.querySelector("button");
const token = new URLSearchParams(location.search).get("token") ?? "";

/** Shows the errors of the fields; an empty list clears them. */
function show(errors) {
  for (const input of form.querySelectorAll("input")) {
    const error = errors.find(({ field }) => field === input.name);
    input.setAttribute("aria-invalid", String(Boolean(error)));
    document.getElementById(`${input.name}-error`).textContent = error?.message ?? "";
  }
  form.querySelector('[aria-invalid="true"]')?.focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  status.textContent = "";
  show([]);
  button.disabled = true;
  try {
    const fields = Object.fromEntries(new FormData(form));
    const response = await fetch("/api/v1/setup", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token, ...fields }),
    });
    const reply = await response.json();
    if (response.ok) {
      form.hidden = true;
      const done = document.getElementById("done");
      document.getElementById("who").textContent = reply.user.username;
      done.hidden = false;
      done.querySelector("h2").focus();
    } else {
      show(reply.errors ?? []);
      if (!reply.errors) status.textContent = reply.message;
    }
  } catch {
    status.textContent = "The server could not be reached. Please try again.";
  } finally {
    button.disabled = false;
  }
});
