# SPDX-License-Identifier: Apache-2.0
"""jinja2 says whether we render conversations as the models' own templates do.

usage: judge_chat.py CHAT_RENDER TMILL

Templates: tests/vectors/chat, llama.cpp's collection (deploy/setup.sh keeps it) and those in GGUF
files on the machine. One that we do not know must be refused; one that we know must give jinja2's
text, for every conversation that we render, and those that we refuse must be refused by it too. The
families that are promised must be known. Then tokenizers says whether SmolLM2's ids are right, and
whether markers that a user writes stay text; and whether `run --chat` gives the model these ids in
every turn. TMILL_JUDGE_LINES is the number of random
conversations, TMILL_SEED their seed.
"""
import glob
import json
import os
import random
import subprocess
import sys
import tempfile

import gguf
import jinja2
import jinja2.sandbox

from judge_lines import SEED, made_line
from judge_tokenizer import CACHE, gguf_family

COUNT = int(os.environ.get("TMILL_JUDGE_LINES", "300"))
# What of llama.cpp's collection is of a family that we promise.
KNOWN = {"Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "google-gemma-2-2b-it",
         "meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.2-3B-Instruct",
         "meta-llama-Llama-3.3-70B-Instruct", "smollm2", "llama2", "llama3", "gemma3"}
PARTS = ["", " ", "\n", "\n\nHello ", "Hi! ", "  what?\n", "<think>\nhm\n</think>\n\n",
         "</think>", "<think>", "<|im_end|>", "<|im_start|>system\n", "<|eot_id|>",
         "<end_of_turn>\n", "[/INST]",
         "<</SYS>>", "<s>", "</s>", "\u3000", "\x1c", "<tool_response>",
         "</tool_response>", "'\"\\"]
FIXED = [
    [("user", "Hello")],
    [("system", "Be brief."), ("user", "Hello")],
    [("system", ""), ("user", "")],
    [("user", "1"), ("assistant", "2"), ("user", "3")],
    [("system", " s "), ("user", " 1 "), ("assistant", " 2 "), ("user", " 3 "), ("assistant", "4")],
    [("user", "1"), ("assistant", "<think>\na\n</think>\n\nb"), ("user", "2"),
     ("assistant", "<think>\nc\n</think>\n\nd")],
    [("user", "1"), ("assistant", "plain"), ("assistant", "<think>x</think>y")],
    [("assistant", "first")], [("user", "1"), ("user", "2")], [("system", "only")],
    [("user", "1"), ("system", "later"), ("user", "2")],
]


def conversations():
    rng = random.Random(SEED)
    found = list(FIXED)
    for _ in range(COUNT):
        roles = ["system"] * (rng.random() < 0.4)
        for turn in range(rng.randrange(1, 6)):
            roles.append("assistant" if turn % 2 else "user")
        if rng.random() < 0.1:
            rng.shuffle(roles)
        found.append([(role, said(rng)) for role in roles])
    return [{"reply": reply, "messages": [{"role": role, "content": text} for role, text in turns]}
            for turns in found for reply in (True, False)]


def said(rng):
    text = made_line(rng).decode()[:60].replace("\0", "") if rng.random() < 0.5 else ""
    for _ in range(rng.randrange(3)):
        text = rng.choice(PARTS) + text + rng.choice(PARTS)
    return text


def refuse(message):
    raise jinja2.TemplateError(message)


def jinja_text(template, conversation):
    """None when the template refuses. The settings are those of transformers."""
    try:
        return template.render(messages=conversation["messages"], bos_token="<s>", eos_token="</s>",
                               add_generation_prompt=conversation["reply"],
                               raise_exception=refuse)
    except jinja2.TemplateError:
        return None


def compare(program, name, source, talks):
    """The number of faults, and whether the template is known."""
    with tempfile.NamedTemporaryFile("w", suffix=".jinja", encoding="utf-8", newline="") as file:
        file.write(source)
        file.flush()
        run = subprocess.run([program, file.name], input=json.dumps(talks).encode(),
                             capture_output=True, check=False)
    if run.returncode == 8:
        return 0, False
    if run.returncode != 0:
        print(f"{name}: exit {run.returncode}: {run.stderr}")
        return 1, True
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = json.dumps
    template = environment.from_string(source)
    wrong = refused = 0
    for talk, ours in zip(talks, json.loads(run.stdout)):
        theirs = jinja_text(template, talk)
        alternates = [m["role"] for m in talk["messages"] if m["role"] != "system"]
        odd = any(role != ("assistant" if i % 2 else "user") for i, role in enumerate(alternates))
        late = any(m["role"] == "system" for m in talk["messages"][1:])
        refused += ours is None and theirs is not None
        # Llama 2 and Gemma drop messages out of turn, or end in the middle: we refuse them.
        if ours != theirs and not (ours is None and (odd or late or not alternates)):
            wrong += 1
            if wrong <= 3:
                print(f"{name}: {talk}\n  ours   {ours!r}\n  theirs {theirs!r}")
    print(f"{name}: {len(talks)} conversations, {refused} refused by us alone, {wrong} differ",
          flush=True)
    return wrong + (refused * 5 > len(talks)), True


def templates():
    home = sorted(glob.glob(os.path.join(CACHE, "llama-*/templates")))
    if not home:
        sys.exit("llama.cpp's templates are missing; run deploy/setup.sh")
    for path in sorted(glob.glob("tests/vectors/chat/*.jinja")) + sorted(
            glob.glob(os.path.join(home[-1], "*.jinja"))):
        with open(path, encoding="utf-8", newline="") as file:
            yield os.path.splitext(os.path.basename(path))[0], file.read()


def check_ids(tmill, model, talks):
    """Ids of whole conversations. Where nobody writes markers, those of the whole text; where
    somebody does, as many of each marker as the template has."""
    fields = gguf.GGUFReader(model).fields
    judge = gguf_family(model)
    judge.normalizer = None
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(fields["tokenizer.chat_template"].contents())
    end = judge.token_to_id("<|im_end|>")
    wrong = hostile = 0
    for talk in talks:
        if not talk["reply"]:
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(talk["messages"], file)
            file.flush()
            run = subprocess.run([tmill, "tokenize", model, "--chat", file.name],
                                 capture_output=True, check=True)
        ours = list(map(int, run.stdout.split()))
        text = jinja_text(template, talk)
        clean = "<|" not in "".join(m["content"] for m in talk["messages"])
        hostile += not clean
        quiet = [{"role": m["role"], "content": "x"} for m in talk["messages"]]
        ends = jinja_text(template, {"messages": quiet, "reply": True}).count("<|im_end|>")
        if ours.count(end) != ends or (clean and ours != judge.encode(text).ids):
            wrong += 1
            print(f"{os.path.basename(model)}: {talk}\n  ours   {ours}\n"
                  f"  theirs {judge.encode(text).ids}")
    print(f"{os.path.basename(model)}: ids, {hostile} with markers written by users, {wrong} wrong")
    return wrong


def check_run(tmill, model):
    """Before each answer of a conversation the model has the ids of the whole so far."""
    judge = gguf_family(model)
    judge.normalizer = None
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        gguf.GGUFReader(model).fields["tokenizer.chat_template"].contents())
    lines = ["Hello, my name is Ada.", "Write a word in Greek, and an emoji.", "What is my name?"]
    wrong = compared = 0
    for more in ([], ["--system", "Answer briefly."], ["--temperature", "2", "--seed", "7"]):
        run = subprocess.run([tmill, "run", model, "--chat", "--json", "-n", "24", *more],
                             input="\n".join(lines).encode(), capture_output=True, check=True)
        turns = json.loads(run.stdout)["data"]["turns"]
        said = [{"role": "system", "content": more[1]}] if "--system" in more else []
        for line, turn in zip(lines, turns, strict=True):
            said.append({"role": "user", "content": line})
            ids = judge.encode(jinja_text(template, {"messages": said, "reply": True})).ids
            # An answer that is cut inside a character is another text in JSON.
            whole = "\ufffd" not in "".join(message["content"] for message in said)
            said.append({"role": "assistant", "content": turn["text"]})
            compared += whole
            if whole and ids != turn["context_ids"]:
                wrong += 1
                print(f"run --chat {more}: {said}\n  ours   {turn['context_ids']}\n"
                      f"  theirs {ids}")
        kept = [len(turn["context_ids"]) - turn["read_tokens"] for turn in turns]
        wrong += kept[0] != 0 or kept[1] < len(turns[0]["context_ids"])
        print(f"run --chat {more}: {len(turns)} turns, {kept} tokens kept, {wrong} wrong so far")
    return wrong + (compared < 7)


def main():
    program, tmill = sys.argv[1:3]
    talks = conversations()
    print(f"seed {SEED}")
    wrong, unknown = 0, []
    for name, source in templates():
        faults, known = compare(program, name, source, talks)
        wrong += faults
        unknown += [] if known else [name]
    print(f"not known, and refused: {len(unknown)}")
    missing = KNOWN & set(unknown)
    if missing:
        print(f"promised and not known: {sorted(missing)}")
    model = os.environ.get("TMILL_MODEL_SMOL", os.path.join(CACHE, "models/smollm2-135m.gguf"))
    wrong += check_ids(tmill, model, talks[:200])
    wrong += check_run(tmill, model)
    return 1 if wrong or missing else 0


if __name__ == "__main__":
    sys.exit(main())
