import { i18n } from '../i18n/index.svelte';
import { Form } from './form.svelte';
import { messages } from './messages.svelte';
import { session } from './session.svelte';

/** The change of one's own password. */
export class OwnPassword {
  old = $state('');
  next = $state('');
  again = $state('');
  readonly form = new Form();

  async change(): Promise<boolean> {
    if (this.next !== this.again) {
      await this.form.fail({ code: 'differs', message: '', field: 'again' });
      return false;
    }
    const done = await this.form.run(() => session.changePassword(this.old, this.next).then(() => true));
    if (done) messages.say(i18n.t.session.changed);
    return done === true;
  }
}
