/** Rooms as `manage.py ws_schema --format typescript` declares them. */

export interface Said {
  who: string;
  text: string;
}

declare module "../../../../django_fastws/static/django_fastws/fastws.js" {
  interface Rooms {
    [name: `tickets/${number}`]: {
      history: true;
      state: Said[];
      events: { said: Said; closed: { at: string } };
      calls: {
        say: { data: { text: string; urgent?: boolean }; answer: number };
        close: { data: { reason?: string }; answer: null };
        ping: { answer: string };
        history: { data: { limit: number }; item: Said };
        everything: { item: Said };
      };
      meta: { name: string };
    };
    prices: { value: number };
    hall: { count: true };
    // Keys like these would exclude each other as `chat/${string}` and `chat/${string}/typing`.
    "chat/{room}": { name: `chat/${string}`; events: { said: Said } };
    "chat/{room}/typing": { name: `chat/${string}/typing`; events: { typing: { who: string } } };
  }
  interface Emits {
    notice: { text: string };
  }
  interface Asks {
    confirm: { data: { question: string }; answer: boolean };
  }
}
