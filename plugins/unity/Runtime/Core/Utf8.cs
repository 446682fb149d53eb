// SPDX-License-Identifier: MIT
using System;
using System.Text;

namespace RestBridge
{
    /// <summary>Texts of C: UTF-8 that ends with 0.</summary>
    internal static unsafe class Utf8
    {
        /// <summary>The bytes of a text with the closing 0; null stays null.</summary>
        public static byte[] Bytes(string text)
        {
            if (text == null) return null;
            byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
            Encoding.UTF8.GetBytes(text, 0, text.Length, bytes, 0);
            return bytes;
        }

        public static string Text(byte* bytes)
        {
            if (bytes == null) return "";
            int length = 0;
            while (bytes[length] != 0) ++length;
            return length == 0 ? "" : Encoding.UTF8.GetString(bytes, length);
        }

        public static string Text(IntPtr bytes)
        {
            return Text((byte*)bytes);
        }

        /// <summary>Whether C's text is this ASCII one, without making a string of it.</summary>
        public static bool Same(byte* bytes, string ascii)
        {
            for (int index = 0; index < ascii.Length; ++index)
            {
                if (bytes[index] != ascii[index]) return false;
            }
            return bytes[ascii.Length] == 0;
        }
    }

    /// <summary>A text that is fetched often and changes rarely: decoded only when it changes.</summary>
    internal unsafe struct CachedText
    {
        private string text;

        public string Take(byte* bytes)
        {
            if (text == null || !IsSame(bytes)) text = Utf8.Text(bytes);
            return text;
        }

        private bool IsSame(byte* bytes)
        {
            int length = text.Length;
            for (int index = 0; index < length; ++index)
            {
                // Other than ASCII is decoded anew each time; names of streams and states are ASCII.
                if (text[index] > 127 || bytes[index] != text[index]) return false;
            }
            return bytes[length] == 0;
        }
    }
}
