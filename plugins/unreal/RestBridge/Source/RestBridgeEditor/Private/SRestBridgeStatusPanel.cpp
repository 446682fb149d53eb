// SPDX-License-Identifier: MIT
#include "SRestBridgeStatusPanel.h"

#include "GameFramework/Actor.h"
#include "ISettingsModule.h"
#include "Modules/ModuleManager.h"
#include "RestBridgeFaceComponent.h"
#include "RestBridgeModule.h"
#include "Widgets/Input/SButton.h"
#include "Widgets/Layout/SScrollBox.h"
#include "Widgets/SBoxPanel.h"
#include "Widgets/Text/STextBlock.h"

#define LOCTEXT_NAMESPACE "RestBridgeEditor"

void SRestBridgeStatusPanel::Construct(const FArguments&)
{
	ChildSlot
	[
		SNew(SVerticalBox)
		+ SVerticalBox::Slot()
		.AutoHeight()
		.Padding(8.0f)
		[
			SNew(SButton)
			.Text(LOCTEXT("Settings", "Where is the daemon? (Project Settings)"))
			.OnClicked(this, &SRestBridgeStatusPanel::OpenSettings)
		]
		+ SVerticalBox::Slot()
		.FillHeight(1.0f)
		.Padding(8.0f)
		[
			SNew(SScrollBox)
			+ SScrollBox::Slot()
			[
				SNew(STextBlock)
				.Text(this, &SRestBridgeStatusPanel::GetText)
			]
		]
	];
}

static FString StateName(ERestBridgeState State)
{
	switch (State)
	{
	case ERestBridgeState::Waiting:
		return TEXT("waiting for the daemon: rest-bridge run --audio push");
	case ERestBridgeState::Live:
		return TEXT("live");
	case ERestBridgeState::Lost:
		return TEXT("lost; it comes back by itself");
	case ERestBridgeState::Off:
		break;
	}
	return TEXT("off");
}

FText SRestBridgeStatusPanel::GetText() const
{
	const FRestBridgeModule& Module = FRestBridgeModule::Get();
	if (!Module.IsLibraryLoaded())
	{
		return LOCTEXT("NoLibrary", "The native library is missing: run \"cmake -P build_native.cmake\" in plugins/unreal and build again.");
	}
	const TArray<URestBridgeFaceComponent*> Faces = Module.GetFaces();
	if (Faces.Num() == 0)
	{
		return LOCTEXT("NoFaces", "No face is connected. Press Play in a level with a Rest Bridge Face component.");
	}
	FString Text;
	for (const URestBridgeFaceComponent* Face : Faces)
	{
		const FRestBridgeStatus Status = Face->GetStatus();
		Text += FString::Printf(TEXT("%s\n    %s\n    %s, %s, %d x %d, %.0f pictures a second\n    %lld pictures, %lld lost, %lld held up, voice ran dry %lld times\n"),
			*Face->GetPathName(), *StateName(Status.State), *Status.Server, *Status.Activity, Status.Size.X, Status.Size.Y, static_cast<double>(Status.FramesPerSecond),
			Status.Frames, Status.FramesLost, Status.FramesHeldUp, Status.VoiceUnderruns);
		if (!Status.Problem.IsEmpty())
		{
			Text += FString::Printf(TEXT("    %s\n"), *Status.Problem);
		}
	}
	return FText::FromString(Text);
}

FReply SRestBridgeStatusPanel::OpenSettings()
{
	if (ISettingsModule* Settings = FModuleManager::GetModulePtr<ISettingsModule>("Settings"))
	{
		Settings->ShowViewer("Project", "Plugins", "RestBridgeSettings");
	}
	return FReply::Handled();
}

#undef LOCTEXT_NAMESPACE
