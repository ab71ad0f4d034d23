// Each view shows the newest picture that has come, also when the page was busy meanwhile: what a
// newer one overtakes is passed over, the last one never.
(function () {
  const views = new Map(); // how a view of this name takes a picture
  let listening = false;

  function taker(canvas) {
    const context = canvas.getContext("bitmaprenderer");
    let newest = null;
    let busy = false;
    return async function take(content, meta) {
      newest = { blob: new Blob([content], { type: meta.type }), quality: meta.quality };
      if (busy || !canvas.isConnected) return;
      busy = true;
      while (newest) {
        const next = newest;
        newest = null;
        try {
          const drawn = await createImageBitmap(next.blob);
          canvas.width = drawn.width;
          canvas.height = drawn.height;
          context.transferFromImageBitmap(drawn);
          canvas.dataset.quality = next.quality; // what is seen at rest has more of it
        } catch (error) {
          console.warn("a picture could not be decoded", error);
        }
      }
      busy = false;
    };
  }

  function shows(canvas, name) {
    views.set(name, taker(canvas));
    if (listening) return;
    listening = true;
    const session = window.trame.client.getConnection().getSession();
    session.subscribe("trame.rca.topic.stream", ([{ name, meta, content }]) => {
      views.get(name)?.(content, meta);
    });
  }

  window.mrisynth = { ...window.mrisynth, shows: shows }; // scripts load in any order
})();
