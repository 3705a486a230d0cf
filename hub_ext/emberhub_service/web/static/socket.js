// One WebSocket, opened again whenever it is lost.

const LOGIN = 4401;
const MANY = 4429;
const SHORTEST = 500;
const LONGEST = 15000;
const BEAT = 10000;

/** Calls `onUpdate` with each message, and `onLink` with "open", "lost", "many" or "login". */
export function connect(prefix, xsrf, onUpdate, onLink) {
  let pause = SHORTEST;
  const open = () => {
    const address = new URL(`${prefix}live`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    let asked = false;
    // Not every proxy tells that the service behind it is gone.
    const beat = setInterval(() => {
      if (asked) socket.close();
      else if (socket.readyState === WebSocket.OPEN) socket.send("{}");
      asked = true;
    }, BEAT);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ xsrf })));
    socket.addEventListener("message", (event) => {
      const update = JSON.parse(event.data);
      asked = false;
      if (update.bye) {
        socket.close();
        return;
      }
      pause = SHORTEST;
      onLink("open");
      if (Object.keys(update).length) onUpdate(update);
    });
    socket.addEventListener("close", async (event) => {
      clearInterval(beat);
      if (event.code === LOGIN || (await mustLogIn(prefix, xsrf))) {
        onLink("login");
        return;
      }
      onLink(event.code === MANY ? "many" : "lost");
      setTimeout(open, pause * (0.75 + Math.random() / 2));
      pause = Math.min(LONGEST, pause * 2);
    });
  };
  open();
}

/** Why a handshake was refused is told to nobody; a plain request says it. */
async function mustLogIn(prefix, xsrf) {
  try {
    const answer = await fetch(`${prefix}api/profiles`, { headers: { "X-XSRFToken": xsrf } });
    return answer.status === 401 || answer.status === 403;
  } catch {
    return false;
  }
}
