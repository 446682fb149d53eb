// SPDX-License-Identifier: MIT
using UnityEditor;
using UnityEngine;

namespace RestBridge.Editor
{
    /// <summary>The usual fields, and below them in play mode what happens.</summary>
    public abstract class LiveInspector : UnityEditor.Editor
    {
        /// <inheritdoc />
        public override void OnInspectorGUI()
        {
            DrawDefaultInspector();
            Check();
            if (!EditorApplication.isPlaying) return;
            EditorGUILayout.Space();
            Live();
        }

        /// <inheritdoc />
        public override bool RequiresConstantRepaint()
        {
            return EditorApplication.isPlaying;
        }

        /// <summary>Says what is missing, with the remedy.</summary>
        protected virtual void Check()
        {
        }

        /// <summary>Shows what happens.</summary>
        protected abstract void Live();

        /// <summary>A warning if there is no connection to use.</summary>
        protected static void CheckConnection(RestBridgeBehaviour component)
        {
            if (component.Connection == null && EditorApplication.isPlaying)
            {
                EditorGUILayout.HelpBox(
                    "There is no RestBridgeConnection: add one to an object of the scene.", MessageType.Warning);
            }
        }
    }

    /// <summary>Inspector of the connection.</summary>
    [CustomEditor(typeof(RestBridgeConnection))]
    public sealed class ConnectionInspector : LiveInspector
    {
        /// <inheritdoc />
        protected override void Live()
        {
            RestBridgeConnection connection = (RestBridgeConnection)target;
            string text = connection.Problem ?? connection.Status.Describe();
            EditorGUILayout.HelpBox(text, connection.Status.Connected ? MessageType.Info : MessageType.Warning);
            if (GUILayout.Button("Reconnect")) connection.Reconnect();
        }
    }

    /// <summary>Inspector of the face.</summary>
    [CustomEditor(typeof(RestBridgeFace))]
    public sealed class FaceInspector : LiveInspector
    {
        /// <inheritdoc />
        protected override void Check()
        {
            CheckConnection((RestBridgeFace)target);
            bool somewhere = serializedObject.FindProperty("image").objectReferenceValue != null
                || serializedObject.FindProperty("sprite").objectReferenceValue != null
                || serializedObject.FindProperty("mesh").objectReferenceValue != null;
            if (!somewhere)
            {
                EditorGUILayout.HelpBox(
                    "Nothing shows the face: set Image, Sprite or Mesh, or take Texture by a script.",
                    MessageType.Info);
            }
        }

        /// <inheritdoc />
        protected override void Live()
        {
            RestBridgeFace face = (RestBridgeFace)target;
            EditorGUILayout.LabelField("Pictures shown", face.NumShown.ToString());
            EditorGUILayout.LabelField("Delay since the voice", (face.LatencySeconds * 1000).ToString("0") + " ms");
            EditorGUILayout.LabelField("Generated", face.Synthetic ? "yes" : "no");
        }
    }

    /// <summary>Inspector of the voice.</summary>
    [CustomEditor(typeof(RestBridgeVoice))]
    public sealed class VoiceInspector : LiveInspector
    {
        /// <inheritdoc />
        protected override void Check()
        {
            CheckConnection((RestBridgeVoice)target);
        }

        /// <inheritdoc />
        protected override void Live()
        {
            RestBridgeVoice voice = (RestBridgeVoice)target;
            EditorGUILayout.LabelField("Playing", voice.Playing ? "yes" : "waits for voice");
            EditorGUILayout.LabelField("Reserve", (voice.LevelSeconds * 1000).ToString("0") + " ms");
            EditorGUILayout.LabelField("Ran dry", voice.Underruns.ToString());
        }
    }

    /// <summary>Inspector of the blend shapes.</summary>
    [CustomEditor(typeof(RestBridgeBlendshapes))]
    public sealed class BlendshapesInspector : LiveInspector
    {
        /// <inheritdoc />
        protected override void Check()
        {
            CheckConnection((RestBridgeBlendshapes)target);
            SkinnedMeshRenderer mesh =
                serializedObject.FindProperty("target").objectReferenceValue as SkinnedMeshRenderer;
            if (mesh == null || mesh.sharedMesh == null || mesh.sharedMesh.blendShapeCount > 0) return;
            EditorGUILayout.HelpBox(
                "This mesh has no blend shapes; import them (model's import settings, Model > BlendShapes).",
                MessageType.Warning);
        }

        /// <inheritdoc />
        protected override void Live()
        {
            RestBridgeBlendshapes shapes = (RestBridgeBlendshapes)target;
            EditorGUILayout.LabelField("Mapped", shapes.NumMapped + " of " + RigValues.NumArkit);
            for (int index = 0; index < RigValues.NumArkit; ++index)
            {
                float value = shapes.Values.Arkit[index];
                if (value > 0.05f) EditorGUILayout.LabelField(RigValues.ArkitNames[index], value.ToString("0.00"));
            }
        }
    }

    /// <summary>Inspector of the speaker.</summary>
    [CustomEditor(typeof(RestBridgeSpeaker))]
    public sealed class SpeakerInspector : LiveInspector
    {
        /// <inheritdoc />
        protected override void Check()
        {
            CheckConnection((RestBridgeSpeaker)target);
        }

        /// <inheritdoc />
        protected override void Live()
        {
            RestBridgeSpeaker speaker = (RestBridgeSpeaker)target;
            EditorGUILayout.LabelField("Lines that wait or are spoken", speaker.NumLines.ToString());
            if (speaker.NumLines > 0 && GUILayout.Button("Interrupt")) speaker.Flush();
        }
    }
}
