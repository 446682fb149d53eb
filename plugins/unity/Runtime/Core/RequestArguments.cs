// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace RestBridge
{
    /// <summary>Texts for a native structure; freed together.</summary>
    internal sealed class OptionTexts : IDisposable
    {
        private readonly List<IntPtr> texts = new List<IntPtr>();

        public IntPtr Add(string text)
        {
            byte[] bytes = Utf8.Bytes(text);
            IntPtr copy = Marshal.AllocHGlobal(bytes.Length);
            Marshal.Copy(bytes, 0, copy, bytes.Length);
            texts.Add(copy);
            return copy;
        }

        public void Dispose()
        {
            foreach (IntPtr text in texts) Marshal.FreeHGlobal(text);
            texts.Clear();
        }
    }

    /// <summary>Arguments of a request as a map of the native library.</summary>
    internal static unsafe class RequestArguments
    {
        public static IntPtr Pack(IDictionary<string, object> arguments)
        {
            IntPtr map = Native.rb_map_new();
            try
            {
                foreach (KeyValuePair<string, object> argument in arguments)
                {
                    Set(map, argument.Key, argument.Value);
                }
                return map;
            }
            catch (BridgeException)
            {
                Native.rb_map_free(map);
                throw;
            }
        }

        private static void Set(IntPtr map, string name, object value)
        {
            byte[] key = Utf8.Bytes(name);
            if (value is string) Native.rb_map_set_text(map, key, Utf8.Bytes((string)value));
            else if (value is bool) Native.rb_map_set_bool(map, key, (bool)value ? 1 : 0);
            else if (value is int) Native.rb_map_set_int(map, key, (int)value);
            else if (value is long) Native.rb_map_set_int(map, key, (long)value);
            else if (value is float) Native.rb_map_set_number(map, key, (float)value);
            else if (value is double) Native.rb_map_set_number(map, key, (double)value);
            else if (value is ICollection<string>) SetTexts(map, key, (ICollection<string>)value);
            else
            {
                throw new BridgeException(
                    BridgeFailure.Argument,
                    "The argument \"" + name + "\" must be a text, a list of texts, a number or a bool.");
            }
        }

        private static void SetTexts(IntPtr map, byte[] key, ICollection<string> values)
        {
            using (OptionTexts texts = new OptionTexts())
            {
                IntPtr* pointers = stackalloc IntPtr[Math.Max(1, values.Count)];
                int count = 0;
                foreach (string value in values) pointers[count++] = texts.Add(value);
                Native.rb_map_set_texts(map, key, pointers, new UIntPtr((uint)count));
            }
        }
    }
}
