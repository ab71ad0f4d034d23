// Each view shows the newest picture that has come, also when the page was busy meanwhile: what a
// newer one overtakes is passed over, the last one never.
(function () {
  const views = new Map(); // how a view of this name takes a picture
  let listening = false;

  function taker(canvas) {
    const context = canvas.getContext("bitmaprenderer");
    let newest = null;
    let busy = false;
    return async function take(picture) {
      newest = picture;
      if (busy || !canvas.isConnected) return;
      busy = true;
      while (newest) {
        const next = newest;
        newest = null;
        try {
          const drawn = await createImageBitmap(next);
          canvas.width = drawn.width;
          canvas.height = drawn.height;
          context.transferFromImageBitmap(drawn);
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
      views.get(name)?.(new Blob([content], { type: meta.type }));
    });
  }

  window.mrisynth = { ...window.mrisynth, shows: shows }; // scripts load in any order
})();
