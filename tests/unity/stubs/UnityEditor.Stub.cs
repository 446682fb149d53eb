// SPDX-License-Identifier: MIT
//
// NOT UNITY. A stub of the editor: only what plugins/unity uses; see UnityEngine.Stub.cs.
using System;
using UnityEngine;

namespace UnityEditor
{
    [AttributeUsage(AttributeTargets.Class)] public sealed class InitializeOnLoadAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
    public sealed class MenuItem : Attribute { public MenuItem(string itemName) { } }
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class CustomEditor : Attribute { public CustomEditor(Type inspectedType) { } }

    public static class AssemblyReloadEvents
    {
        public delegate void AssemblyReloadCallback();
#pragma warning disable 67
        public static event AssemblyReloadCallback beforeAssemblyReload;
#pragma warning restore 67
    }

    public enum PlayModeStateChange { EnteredEditMode, ExitingEditMode, EnteredPlayMode, ExitingPlayMode }

    public sealed class EditorApplication
    {
#pragma warning disable 67
        public static event Action quitting;
        public static event Action<PlayModeStateChange> playModeStateChanged;
#pragma warning restore 67
        public static bool isPlaying { get; set; }
        public static double timeSinceStartup { get { return 0; } }
    }

    public class EditorWindow : ScriptableObject
    {
        public static T GetWindow<T>(string title) where T : EditorWindow { return null; }
        public void Repaint() { }
    }

    public class SerializedProperty
    {
        public UnityEngine.Object objectReferenceValue { get; set; }
    }

    public class SerializedObject
    {
        public SerializedProperty FindProperty(string propertyPath) { return null; }
    }

    public class Editor : ScriptableObject
    {
        public UnityEngine.Object target { get; set; }
        public SerializedObject serializedObject { get { return null; } }
        public virtual void OnInspectorGUI() { }
        public virtual bool RequiresConstantRepaint() { return false; }
        public bool DrawDefaultInspector() { return false; }
    }

    public enum MessageType { None, Info, Warning, Error }

    public sealed class EditorStyles
    {
        public static GUIStyle boldLabel { get { return null; } }
    }

    public sealed class EditorGUILayout
    {
        public static void LabelField(string label, params GUILayoutOption[] options) { }
        public static void LabelField(string label, GUIStyle style, params GUILayoutOption[] options) { }
        public static void LabelField(string label, string label2, params GUILayoutOption[] options) { }
        public static void HelpBox(string message, MessageType type) { }
        public static string TextField(string label, string text, params GUILayoutOption[] options) { return text; }
        public static int IntField(string label, int value, params GUILayoutOption[] options) { return value; }
        public static void Space() { }
    }
}
