// What the page does in the browser alone: sending files, keys, downloads.
(function () {
  const AT_A_TIME = 4;

  function identity() {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function say(text, kind) {
    window.trame.state.update({ uploading: "", message: text, message_kind: kind || "error" });
  }

  async function send(batch, file) {
    const query = new URLSearchParams({ batch: batch, name: file.name });
    let answer;
    try {
      answer = await fetch("upload?" + query, { method: "POST", body: file });
    } catch (error) {
      throw new Error("The files could not be sent; is MRISynth still running?");
    }
    if (!answer.ok) {
      const reply = await answer.json().catch(() => ({}));
      throw new Error(reply.error || "The server refused " + file.name + ".");
    }
  }

  async function upload(files) {
    if (!files.length) return;
    const batch = identity();
    const waiting = Array.from(files);
    const total = waiting.length;
    let done = 0;
    let failure = null;
    async function worker() {
      while (waiting.length && !failure) {
        try {
          await send(batch, waiting.shift());
          done += 1;
          const text = "Sending: " + done + " of " + total + (total === 1 ? " file" : " files");
          window.trame.state.set("uploading", text);
        } catch (error) {
          failure ??= error; // the first says what is wrong
        }
      }
    }
    window.trame.state.set("uploading", "Sending " + total + (total === 1 ? " file" : " files"));
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
    if (failure) {
      say(failure.message);
      return;
    }
    window.trame.trigger("uploaded", [batch]);
  }

  function choose(folder) {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    input.webkitdirectory = folder;
    input.id = "mrs-input";
    input.style.display = "none";
    document.getElementById("mrs-input")?.remove();
    document.body.appendChild(input);
    input.addEventListener("change", () => {
      upload(input.files);
      input.remove();
    });
    input.click();
  }

  // ------------------------------------------------------------------- drag and drop

  function readAll(reader) {
    return new Promise((resolve, reject) => {
      const all = [];
      (function next() {
        reader.readEntries((some) => {
          if (!some.length) return resolve(all);
          all.push(...some);
          next();
        }, reject);
      })();
    });
  }

  async function filesIn(entry) {
    if (entry.isFile) {
      return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
    }
    const found = [];
    for (const inner of await readAll(entry.createReader())) found.push(...(await filesIn(inner)));
    return found;
  }

  async function dropped(transfer) {
    const entries = Array.from(transfer.items || [], (item) => item.webkitGetAsEntry?.()).filter(
      Boolean
    );
    if (!entries.length) return upload(transfer.files);
    const files = [];
    for (const entry of entries) files.push(...(await filesIn(entry)));
    return upload(files);
  }

  function mark(on) {
    document.getElementById("mrs-drop")?.classList.toggle("mrs-drop-on", on);
  }
  const carriesFiles = (event) => Array.from(event.dataTransfer?.types || []).includes("Files");
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(carriesFiles(event)); // again and again: the page may be drawn anew meanwhile
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false); // out of the window
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (carriesFiles(event)) dropped(event.dataTransfer).catch(() => say("That could not be read."));
  });

  // --------------------------------------------------------------------------- slices

  // What was turned while a step is under way goes with the next one: the newest slice is drawn,
  // and nothing is left to do when the hand rests.
  const BETWEEN_STEPS = 1000 / 30;
  let turned = 0;
  let stepping = false;
  async function step(slices) {
    turned += slices;
    if (stepping) return;
    stepping = true;
    try {
      while (turned) {
        const now = turned;
        turned = 0;
        const pause = new Promise((resolve) => setTimeout(resolve, BETWEEN_STEPS));
        await Promise.all([window.trame.trigger("step", [now]), pause]);
      }
    } finally {
      stepping = false;
    }
  }

  // A touch pad tells of each small way: the first is a slice, and then each as long as the notch
  // of a wheel, as in Slicer.
  const NOTCH = 120;
  const PAUSE = 150; // ms
  let rolled = 0;
  let rolledAt = -Infinity;
  function notches(event) {
    const up = event.deltaY < 0 ? 1 : -1;
    const way = Math.abs(event.wheelDeltaY || event.deltaY);
    const anew = event.timeStamp - rolledAt > PAUSE || rolled * up < 0;
    rolledAt = event.timeStamp;
    if (way >= NOTCH || anew) {
      rolled = way >= NOTCH ? 0 : 0.01 * up; // which way
      return up;
    }
    rolled += way * up;
    const whole = Math.trunc(rolled / NOTCH);
    rolled -= whole * NOTCH;
    return whole;
  }

  window.addEventListener(
    "wheel",
    (event) => {
      const view = event.target.closest?.(".layout-grid-item");
      if (!view?.querySelector(".mrs-slider") || event.ctrlKey || !event.deltaY) return;
      const slices = notches(event);
      if (slices) step(slices);
      event.preventDefault();
      event.stopPropagation(); // or the view would send each turn by itself
    },
    { capture: true, passive: false }
  );

  // ---------------------------------------------------------------------------- keys

  const STEPS = { f: 1, b: -1, ArrowUp: 1, ArrowDown: -1, ArrowRight: 1, ArrowLeft: -1 };
  const KEYS = {
    g: ["toggle_contours", []],
    r: ["reset_view", []],
    z: ["undo", []],
    y: ["redo", []],
  };
  window.addEventListener(
    "keydown",
    (event) => {
      const typing = event.target.closest?.(
        "input:not([type=checkbox]), textarea, [role=listbox], [role=slider], .v-overlay"
      );
      if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key === "t") {
        const state = window.trame.state;
        state.set("opacity", state.get("opacity") < 0.5 ? 1 : 0);
      } else if (STEPS[event.key]) {
        step(STEPS[event.key]);
      } else if (KEYS[event.key]) {
        window.trame.trigger(...KEYS[event.key]);
      } else {
        return;
      }
      event.preventDefault();
      event.stopPropagation(); // or the view would do it a second time
    },
    true
  );

  function fetchFile(link) {
    const anchor = document.createElement("a");
    anchor.href = link;
    anchor.download = "";
    document.body.appendChild(anchor);
    anchor.click();
    anchor.remove();
  }

  // What was being sent when the page was loaded anew is not sent on.
  const ready = setInterval(() => {
    const state = window.trame?.state;
    if (state?.get("loading") === undefined) return;
    clearInterval(ready);
    if (!state.get("loading") && state.get("uploading")) state.set("uploading", "");
  }, 200);

  window.mrisynth = { ...window.mrisynth, upload: upload, choose: choose, fetch: fetchFile };
})();
