// Answers signature questions with the official Node SDK: a JSON list in, a JSON list out.
const { createRequire } = require('module');
const Stripe = createRequire(process.argv[2])('stripe');
const { webhooks } = new Stripe('sk_test_oracle');

function answer(question) {
  const body = Buffer.from(question.body, 'hex');
  try {
    if (question.do === 'sign') {
      return webhooks.generateTestHeaderString({
        payload: body.toString('utf8'),
        secret: question.secret,
        timestamp: question.now,
      });
    }
    webhooks.signature.verifyHeader(body, question.header, question.secret, 300, undefined, question.now * 1000);
    return 'accepted';
  } catch (refusal) {
    return 'refused: ' + String(refusal.message).slice(0, 80);
  }
}

const questions = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(questions.map(answer)));
