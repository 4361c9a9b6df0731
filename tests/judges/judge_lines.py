# SPDX-License-Identifier: Apache-2.0
"""Lines of text for the judges of tokenizers, the same for the same seed on the same machine: many
languages, code, emoji, combining marks, white space, special tokens, numbers and broken UTF-8."""
import glob
import os
import random
import unicodedata

SEED = int(os.environ.get("TMILL_SEED", "1"))
MARK = "\u2581"

# Article 1 of the Universal Declaration of Human Rights (public domain), its beginning.
PROSE = """
All human beings are born free and equal in dignity and rights. They are endowed with reason
Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft begabt
Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison
Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón
Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw
Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv
Minden emberi lény szabadon születik és egyenlő méltósága és joga van
Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. İnsanlar akıl ve vicdana sahip
Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền
Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом
Всі люди народжуються вільними і рівними у своїй гідності та правах
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα
כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון
يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا
تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند
सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है
সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে
மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ
人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。
すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.
ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით
Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ ու իրավունքներով
ሰዎች ሁሉ ነጻና እኩል ሆነው ተወልደዋል
""".strip().split("\n")

CODE = ["for (size_t {a} = 0; {a} < {n}; {a}++) {{", "\treturn {a}->{b}[{n}];", "}}",
        "def {a}({b}, *args, **kw):", "    if {a} is not None and {b}[{n}:] != '{s}':",
        "#include <{a}/{b}.h>", "let {a}: Vec<Option<&'static str>> = vec![{n}u8; {n}];",
        "SELECT {a}, COUNT(*) FROM {b} WHERE id >= {n} GROUP BY 1;", "/* {s} */", "// {s}",
        "{{\"{a}\": [{n}, {n}.{n}e-{n}], \"{b}\": null, \"x\": \"\\u00e9\\n\"}}",
        "<div class=\"{a}-{b}\" id='{a}_{n}'>&nbsp;{s}</div>", "\\begin{{{a}}} $x_{{{n}}}^2$ \\\\",
        "$ {a} --{b}={n} | grep -E '^[A-Z]+$' > /tmp/{a}.log 2>&1",
        "https://example.org/{a}/{b}?q={n}&lang=de#{a}", "                {a} {b} += {n};",
        "        \t  {a}();", "#define {a}(X) do {{ X; }} while (0)", "0x{n}ffULL << {n}"]
EMOJI = ["😀", "🎉", "❤️", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇫🇷", "1️⃣", "☕", "🧑🏿‍🚀", "™️", "✂︎",
         "🫠", "🐻‍❄️", "\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e0065\U000e007f"]
SPACES = [" ", "  ", "   ", "\t", "\t\t", "\u00a0", "\u3000", "\u2003", "\u2028", "\r\n", "\n",
          "\n\n", "\v", "\f", "\x85", " " * 17, " " * 64, "\u200b", "\ufeff"]
BITS = ["'s", "'LL", "<s>", "</s>", "<|end|>", "<sep>", "<0x0A>", "<|im_end|>", "<|endoftext|>",
        "<end_of_turn>", "[INST]", "<unk>", "1234567", "3.14", MARK, "\u0130", "\u017f", "\ufffd",
        "word", "<raw>", "!!!!!!!!", "....", "-----", "=" * 30, "²³½", "٣٤٥", "Ⅷ", "ﬁ", "ｆｕｌｌ"]
# Ranges of code points: Latin, Greek to Armenian, Hebrew, Arabic, Indic, kana, Han, Hangul, emoji,
# signs, controls, combining marks, full width.
RANGES = [(0x20, 0x7f), (0xa0, 0x250), (0x370, 0x590), (0x5d0, 0x5eb), (0x620, 0x670),
          (0x900, 0x980), (0x3040, 0x3100), (0x4e00, 0x9000), (0xac00, 0xd7a0),
          (0x1f300, 0x1f650), (0x2000, 0x2070), (0x2100, 0x2200), (0x0, 0x20), (0x300, 0x360),
          (0x1e00, 0x2000), (0xff00, 0xffef), (0xfb00, 0xfb07), (0x20000, 0x20100)]
BROKEN = [b"\xff", b"\xc0\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80",
          b"\x80\x80", b"\xf0\x80\x80\x80", b"\xe2\x28\xa1", b"\xfe\xfe"]


def same_in_all_versions(char):
    """Unicode 3.2 knew its combining class already: judges with older tables order marks alike."""
    return (unicodedata.combining(char) == 0 or
            unicodedata.ucd_3_2_0.combining(char) == unicodedata.combining(char))


def name(rng):
    return "".join(rng.choice(["get", "set", "x", "_", "Tensor", "size", "i", "URL", "2", "ÄÖ",
                               "buf", "Of"]) for _ in range(rng.randrange(1, 4)))


def prose(rng):
    words = rng.choice(PROSE).split(" ")
    rng.shuffle(words)
    return " ".join(words[:rng.randrange(1, 14)])


def code(rng):
    return rng.choice(CODE).format(a=name(rng), b=name(rng), s=prose(rng)[:24],
                                   n=rng.randrange(10 ** rng.randrange(1, 9)))


def emoji(rng):
    return "".join(rng.choice(EMOJI) + rng.choice(["", "", " ", "!", "ok"])
                   for _ in range(rng.randrange(1, 9)))


def marks(rng):
    text = ""
    for _ in range(rng.randrange(1, 12)):
        text += rng.choice("aeiouAOUnsc ह가あ")
        text += "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randrange(5)))
    return text


def spaces(rng):
    return "".join(rng.choice(SPACES) + rng.choice(["", "", "a", "Bc", ".", "9"])
                   for _ in range(rng.randrange(1, 10)))


def points(rng):
    low, high = rng.choice(RANGES)
    return "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 8)))


def bits(rng):
    return rng.choice(["", " "]) + rng.choice(BITS) + rng.choice(["", " "])


def made_line(rng):
    kinds = [prose, prose, code, code, emoji, marks, spaces, points, bits]
    text = rng.choice(kinds)(rng)
    while rng.random() < 0.45:
        text += rng.choice(["", "", " "]) + rng.choice(kinds)(rng)
    return "".join(c for c in text if same_in_all_versions(c)).encode()


def broken_line(rng):
    if rng.random() < 0.3:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
    line = made_line(rng)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(line) + 1)
        cut = rng.choice([0, 0, 1, 2])
        line = line[:at] + rng.choice(BROKEN) + line[at + cut:]
    return line


def found_lines(rng, count):
    """What is on the machine, in a fixed order: this repository, Debian's and Python's texts."""
    shared = os.environ.get("TMILL_SHARED", "../shared")
    paths = sorted(glob.glob("docs/**/*.md", recursive=True)) + sorted(glob.glob("*/*.c"))
    paths += sorted(glob.glob("/usr/share/i18n/locales/*_*"))
    paths += sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), "*.py")))
    paths += sorted(glob.glob(os.path.join(shared, "data/text/*/*.*")))
    lines = []
    for path in paths:
        with open(path, "rb") as file:
            lines += file.read(300000).split(b"\n")
    rng.shuffle(lines)
    return lines[:count]


def make_lines(count):
    """`count` lines: half of them found where there are so many, one in ten broken; some are three
    lines in one."""
    rng = random.Random(SEED)
    lines = found_lines(rng, count // 2)
    for i in range(0, len(lines) - 3, 50):
        lines[i] = b"\n".join(lines[i:i + 3])
    lines += [broken_line(rng) for _ in range(count // 10)]
    lines += [made_line(rng) for _ in range(count - len(lines))]
    rng.shuffle(lines)
    return lines
