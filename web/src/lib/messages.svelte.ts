export interface Message {
  id: number;
  text: string;
  kind: 'good' | 'bad';
}

export interface Question {
  title: string;
  text: string;
  action: string;
  danger?: boolean;
}

/** What is said to the person in front of the page, and asked. */
class Messages {
  shown = $state<Message[]>([]);
  question = $state.raw<Question | null>(null);
  #answer: (yes: boolean) => void = () => {};
  #next = 0;

  say(text: string, kind: Message['kind'] = 'good') {
    const id = this.#next++;
    this.shown.push({ id, text, kind });
    setTimeout(() => this.dismiss(id), kind === 'good' ? 5000 : 10_000);
  }

  dismiss(id: number) {
    this.shown = this.shown.filter((message) => message.id !== id);
  }

  ask(question: Question): Promise<boolean> {
    this.question = question;
    return new Promise((resolve) => (this.#answer = resolve));
  }

  answer(yes: boolean) {
    this.question = null;
    this.#answer(yes);
  }
}

export const messages = new Messages();
