// SPDX-License-Identifier: MIT
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace RestBridge
{
    /// <summary>Reads JSON as the native library writes it for replies and bodies.</summary>
    public sealed class Json
    {
        private const int MaxDepth = 64;
        private readonly string text;
        private int at;

        private Json(string text)
        {
            this.text = text;
        }

        /// <summary>
        /// Objects become `Dictionary&lt;string, object&gt;`, arrays `List&lt;object&gt;`, integers long, other
        /// numbers double, and texts, truths and null themselves.
        /// </summary>
        /// <exception cref="BridgeException">it is no JSON</exception>
        public static object Parse(string text)
        {
            Json reader = new Json(text);
            object value = reader.Value(0);
            reader.Space();
            if (reader.at != text.Length) throw reader.Wrong();
            return value;
        }

        private object Value(int depth)
        {
            Space();
            if (at >= text.Length || depth > MaxDepth) throw Wrong();
            char first = text[at];
            if (first == '{') return Object(depth);
            if (first == '[') return Array(depth);
            if (first == '"') return Text();
            if (Word("true")) return true;
            if (Word("false")) return false;
            if (Word("null")) return null;
            return Number();
        }

        private Dictionary<string, object> Object(int depth)
        {
            Dictionary<string, object> map = new Dictionary<string, object>();
            ++at;
            if (Next('}')) return map;
            do
            {
                Space();
                string key = Text();
                if (!Next(':')) throw Wrong();
                map[key] = Value(depth + 1);
            }
            while (Next(','));
            if (!Next('}')) throw Wrong();
            return map;
        }

        private List<object> Array(int depth)
        {
            List<object> items = new List<object>();
            ++at;
            if (Next(']')) return items;
            do
            {
                items.Add(Value(depth + 1));
            }
            while (Next(','));
            if (!Next(']')) throw Wrong();
            return items;
        }

        private string Text()
        {
            if (at >= text.Length || text[at] != '"') throw Wrong();
            StringBuilder made = new StringBuilder();
            while (++at < text.Length && text[at] != '"')
            {
                if (text[at] != '\\')
                {
                    made.Append(text[at]);
                    continue;
                }
                if (++at >= text.Length) throw Wrong();
                made.Append(Escaped());
            }
            if (at >= text.Length) throw Wrong();
            ++at;
            return made.ToString();
        }

        private char Escaped()
        {
            switch (text[at])
            {
                case 'n': return '\n';
                case 't': return '\t';
                case 'r': return '\r';
                case 'b': return '\b';
                case 'f': return '\f';
                case 'u':
                    int code;
                    if (at + 4 >= text.Length
                        || !int.TryParse(
                            text.Substring(at + 1, 4), NumberStyles.AllowHexSpecifier,
                            CultureInfo.InvariantCulture, out code))
                    {
                        throw Wrong();
                    }
                    at += 4;
                    return (char)code;
                default: return text[at];
            }
        }

        private object Number()
        {
            int begin = at;
            while (at < text.Length && "+-.0123456789eE".IndexOf(text[at]) >= 0) ++at;
            string digits = text.Substring(begin, at - begin);
            long integer;
            if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out integer))
            {
                return integer;
            }
            double number;
            if (double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out number))
            {
                return number;
            }
            throw Wrong();
        }

        private bool Word(string word)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) return false;
            at += word.Length;
            return true;
        }

        private bool Next(char wanted)
        {
            Space();
            if (at >= text.Length || text[at] != wanted) return false;
            ++at;
            return true;
        }

        private void Space()
        {
            while (at < text.Length && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r'))
            {
                ++at;
            }
        }

        private BridgeException Wrong()
        {
            return new BridgeException(BridgeFailure.Protocol, "This is no JSON, at character " + at + ".");
        }
    }
}
